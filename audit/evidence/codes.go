package evidence

import "github.com/sealtrail/sealtrail/audit/verify"

// CodeText says what a finding's code means: the table of docs/formats/evidence-bundle.md. The zero Text stands for an unknown code.
func CodeText(code string) verify.Text {
	switch code {
	case "zip_malformed":
		return verify.Text{EN: "not a zip of the one form", ZH: "不是规定格式的 zip 文件"}
	case "zip_limit":
		return verify.Text{EN: "larger than the limits allow", ZH: "超出大小限制"}
	case "zip_name":
		return verify.Text{EN: "a file that does not belong here", ZH: "含有不应存在的文件"}
	case "zip_order":
		return verify.Text{EN: "names not in order, or one twice", ZH: "文件名未按顺序或重复"}
	case "zip_content":
		return verify.Text{EN: "a file's content does not fit its size or checksum", ZH: "文件内容与其长度或校验和不符"}
	case "json_not_canonical":
		return verify.Text{EN: "evidence.json is not in the canonical form", ZH: "evidence.json 不是规范形式"}
	case "json_malformed":
		return verify.Text{EN: "evidence.json has a member or value that is not allowed", ZH: "evidence.json 含有不允许的成员或取值"}
	case "json_order":
		return verify.Text{EN: "a list is not in order, or has an element twice", ZH: "列表未按顺序或有重复"}
	case "json_reference":
		return verify.Text{EN: "a log, index or size that is not there", ZH: "所引用的日志、序号或规模不存在"}
	case "file_missing":
		return verify.Text{EN: "a named file is missing", ZH: "缺少所列文件"}
	case "file_unnamed":
		return verify.Text{EN: "a file that nothing names", ZH: "存在未列出的文件"}
	case "checkpoint_malformed":
		return verify.Text{EN: "not a signed checkpoint", ZH: "不是已签名的检查点"}
	case "checkpoint_differs":
		return verify.Text{EN: "the checkpoint is of another log or size", ZH: "检查点属于其他日志或规模"}
	case "no_key":
		return verify.Text{EN: "no key was given for this log", ZH: "未提供该日志的公钥"}
	case "checkpoint_signature":
		return verify.Text{EN: "the checkpoint is not signed by the given key", ZH: "检查点并非由所给公钥签名"}
	case "cosignature":
		return verify.Text{EN: "a witness's cosignature does not verify", ZH: "见证方的联署不成立"}
	case "not_cosigned":
		return verify.Text{EN: "too few of the given witnesses cosigned", ZH: "联署的见证方不足"}
	case "pinned_signature":
		return verify.Text{EN: "the kept checkpoint is not signed by the given key", ZH: "所存检查点并非由所给公钥签名"}
	case "history_changed":
		return verify.Text{EN: "the log is not the one that the kept checkpoint saw: it was rewritten", ZH: "日志与所存检查点当时所见不符:已被改写"}
	}
	return meaningText(code)
}

// meaningText has the codes from step 5 on.
func meaningText(code string) verify.Text {
	switch code {
	case "entry_missing":
		return verify.Text{EN: "an entry is missing", ZH: "缺少一条记录"}
	case "proof_malformed":
		return verify.Text{EN: "a proof is not of its form, index or checkpoint", ZH: "证明的格式、序号或检查点不符"}
	case "inclusion":
		return verify.Text{EN: "the signed root does not hold the entry", ZH: "已签名的根哈希不包含该记录"}
	case "not_canonical":
		return verify.Text{EN: "an entry is not in the canonical form", ZH: "记录不是规范形式"}
	case "entry_altered":
		return verify.Text{EN: "an entry is not the one that was proved", ZH: "记录与被证明的不是同一条"}
	case "index":
		return verify.Text{EN: "an entry says that it has another index", ZH: "记录自称为其他序号"}
	case "origin":
		return verify.Text{EN: "an entry belongs to another log", ZH: "记录属于其他日志"}
	case "institution":
		return verify.Text{EN: "an entry is of another institution", ZH: "记录属于其他机构"}
	case "part":
		return verify.Text{EN: "an entry is not what it is listed as", ZH: "记录并非所列的类别"}
	case "time_order":
		return verify.Text{EN: "an entry was sequenced before the one in front of it", ZH: "记录的定序时间早于前一条"}
	case "trail_gap":
		return verify.Text{EN: "the trail has a gap: another number is due here", ZH: "轨迹有缺口:此处序号不符"}
	case "trail_broken":
		return verify.Text{EN: "the entry does not follow the one in front of it", ZH: "记录与前一条不相接"}
	case "hit_beyond":
		return verify.Text{EN: "a hit lies beyond the size that was searched", ZH: "命中记录超出检索的规模"}
	case "heads_missing":
		return verify.Text{EN: "nothing shows where the trail ends", ZH: "没有证明轨迹止于何处"}
	case "heads_entry":
		return verify.Text{EN: "the entry that commits to the heads is not there or not of its form", ZH: "轨迹汇总记录不存在或格式不符"}
	case "heads_proof":
		return verify.Text{EN: "the committed heads do not hold this trail's end", ZH: "已提交的轨迹汇总不包含此轨迹终点"}
	case "heads_n":
		return verify.Text{EN: "the trail has another number of entries than shown", ZH: "轨迹的记录数与所示不符"}
	case "heads_last":
		return verify.Text{EN: "the trail ends with another entry than shown", ZH: "轨迹的最后一条与所示不符"}
	case "heads_size":
		return verify.Text{EN: "the last entry lies behind the size that the heads speak of", ZH: "最后一条记录超出汇总所述规模"}
	case "commitment_missing":
		return verify.Text{EN: "what opens a commitment is missing, and no approved erasure explains it", ZH: "承诺的开启数据缺失,且无经批准的删除可以说明"}
	case "commitment_unlisted":
		return verify.Text{EN: "a commitment is passed over in silence", ZH: "有承诺未作任何说明"}
	case "opening_unknown":
		return verify.Text{EN: "an opening of a commitment that is not there", ZH: "所开启的承诺不存在"}
	case "commitment":
		return verify.Text{EN: "the value shown is not the one committed to", ZH: "所示内容与承诺不符"}
	case "erased_unproved":
		return verify.Text{EN: "called erased, and no approved erasure proves it", ZH: "称已删除,但无经批准的删除为证"}
	case "policy_not_active":
		return verify.Text{EN: "the entry names another policy bundle than the active one", ZH: "记录所引策略包并非当时生效者"}
	case "policy_trail":
		return verify.Text{EN: "the activations have a gap", ZH: "策略包生效记录有缺口"}
	case "policy_heads":
		return verify.Text{EN: "the activations shown are not all there were", ZH: "所示策略包生效记录不完整"}
	case "blob_altered":
		return verify.Text{EN: "a file is not the one that its name says", ZH: "文件内容与其名称(哈希)不符"}
	case "blob_missing":
		return verify.Text{EN: "a policy bundle that an entry names is missing", ZH: "缺少记录所引用的策略包"}
	case "blob_unnamed":
		return verify.Text{EN: "a file that no entry names", ZH: "存在没有记录引用的文件"}
	case "stamp_unlogged":
		return verify.Text{EN: "no entry vouches for the time stamp", ZH: "没有记录可证该时间戳"}
	case "stamp_root":
		return verify.Text{EN: "the time stamp is of another tree", ZH: "时间戳属于另一棵树"}
	}
	return verify.Text{}
}
