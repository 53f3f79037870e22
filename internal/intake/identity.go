package intake

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed identities.json
var identitiesJSON []byte

// lexicon is what made-up persons are put together from.
type lexicon struct {
	Surnames       []string `json:"surnames"`
	Given          []string `json:"given"`
	Places         []string `json:"places"`
	MobilePrefixes []string `json:"mobile_prefixes"`
	CardPrefixes   []string `json:"card_prefixes"`
	MailDomains    []string `json:"mail_domains"`
}

var words = sync.OnceValue(func() lexicon {
	var l lexicon
	dec := json.NewDecoder(bytes.NewReader(identitiesJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(fmt.Errorf("parsing identities.json: %w", err))
	}
	return l
})

// Identity is a made-up person with valid numbers. Any likeness to a living
// person is chance; mail domains are reserved for examples (RFC 2606).
type Identity struct {
	// Name is Chinese; Pinyin is "Given Surname" for English texts.
	Name, Pinyin string
	// IDNumber has a correct check character, BirthDate (YYYY-MM-DD) agrees.
	IDNumber, BirthDate string
	Phone, Email        string
	Address             string
	// BankCard passes Luhn; AccountNo has 17 digits.
	BankCard, AccountNo string
}

// Identities makes the same persons for the same seed. It is immutable and
// safe for concurrent use.
type Identities struct{ seed uint64 }

// NewIdentities returns the persons of one seed.
func NewIdentities(seed uint64) *Identities { return &Identities{seed} }

// Person returns the person of that number, the same each time.
func (n *Identities) Person(i uint64) Identity {
	rng := rand.New(rand.NewPCG(n.seed, i)) //nolint:gosec // made-up persons, not secrets
	l := words()
	surname, surnameLatin, _ := strings.Cut(pick(rng, l.Surnames), " ")
	given, givenLatin, _ := strings.Cut(pick(rng, l.Given), " ")
	place := strings.SplitN(pick(rng, l.Places), " ", 3)
	born := time.Date(1948, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rng.IntN(57*365))
	return Identity{
		Name: surname + given, Pinyin: givenLatin + " " + surnameLatin,
		IDNumber: idNumber(rng, place[0], born), BirthDate: born.Format(time.DateOnly),
		Phone: pick(rng, l.MobilePrefixes) + digits(rng, 8),
		Email: strings.ToLower(givenLatin+surnameLatin) + digits(rng, 3) + "@" + pick(rng, l.MailDomains),
		Address: fmt.Sprintf("%s%s%d号%d栋%d单元%d%02d室", place[1], pick(rng, strings.Split(place[2], ",")),
			1+rng.IntN(300), 1+rng.IntN(30), 1+rng.IntN(4), 1+rng.IntN(28), 1+rng.IntN(4)),
		BankCard: cardNumber(rng, pick(rng, l.CardPrefixes)), AccountNo: "3602" + digits(rng, 13),
	}
}

// Staff returns a made-up member of staff of the institution: eight digits
// starting with 8, and a name. There are 400.
func (n *Identities) Staff(i uint64) (id, name string) {
	const staff = 400
	i %= staff
	p := n.Person(1<<62 + i)
	return "8" + fmt.Sprintf("%07d", 1_000_000+i*37), p.Name
}

// personOf picks the person of a complaint by its source id: one in five comes
// from a small circle, so that customers repeat.
func (n *Identities) personOf(key string) (Identity, *rand.Rand) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	sum := h.Sum64()
	who := sum
	if sum%5 == 0 {
		const circle = 997
		who = sum / 5 % circle
	}
	return n.Person(who), rand.New(rand.NewPCG(n.seed+1, sum)) //nolint:gosec // made-up values
}

// fill gives a draft a person, one of our staff as respondent, and values in
// the XXXX slots of its narrative.
func (n *Identities) fill(d *Draft) {
	p, rng := n.personOf(d.Source + "/" + d.SourceID)
	d.IDType, d.PartyType = "resident_id", "self"
	p.put(d.Fields)
	d.Fields["respondent_staff_id"], d.Fields["respondent_name"] = n.Staff(rng.Uint64())
	d.Fields["narrative"] = fillSlots(d.Fields["narrative"], p, rng)
}

func (p Identity) put(fields map[string]string) {
	fields["complainant_name"], fields["id_number"], fields["birth_date"] = p.Name, p.IDNumber, p.BirthDate
	fields["address"], fields["phone"], fields["email"] = p.Address, p.Phone, p.Email
	fields["bank_card"], fields["account_no"] = p.BankCard, p.AccountNo
}

// fillSlots replaces what the CFPB blacked out: dates XX/XX/XXXX, and runs of
// XXXX by a surname, a name, a telephone number or a card number, by length.
func fillSlots(text string, p Identity, rng *rand.Rand) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		end, tokens, date := slotAt(text, i)
		switch {
		case end == i:
			b.WriteByte(text[i])
			i++
			continue
		case date:
			fmt.Fprintf(&b, "%02d/%02d/%d", 1+rng.IntN(12), 1+rng.IntN(28), 2020+rng.IntN(5))
		case tokens == 1:
			b.WriteString(p.Pinyin[strings.IndexByte(p.Pinyin, ' ')+1:])
		case tokens == 2:
			b.WriteString(p.Pinyin)
		case tokens == 3:
			b.WriteString(p.Phone[:3] + " " + p.Phone[3:7] + " " + p.Phone[7:])
		default:
			b.WriteString(p.BankCard)
		}
		i = end
	}
	return b.String()
}

// slotAt recognises a slot at byte i: end is i if there is none.
func slotAt(text string, i int) (end, tokens int, date bool) {
	if i > 0 && (isAlnum(text[i-1]) || text[i-1] == '/') {
		return i, 0, false
	}
	if strings.HasPrefix(text[i:], "XX/XX/") {
		end = i + 6
		for end < len(text) && isAlnum(text[end]) {
			end++
		}
		// XX/XX/XXXX, XX/XX/2023 and XX/XX/year all stand in the file.
		return end, 1, end > i+6
	}
	end = i
	for strings.HasPrefix(text[end:], "XXXX") && (end+4 == len(text) || !isAlnum(text[end+4])) {
		tokens++
		end += 4
		if !strings.HasPrefix(text[end:], " XXXX") {
			break
		}
		end++
	}
	if end > i && text[end-1] == ' ' {
		end--
	}
	return end, tokens, false
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func pick(rng *rand.Rand, list []string) string { return list[rng.IntN(len(list))] }

func digits(rng *rand.Rand, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte('0' + rng.IntN(10))
	}
	return string(out)
}

// idNumber puts region, date, a serial and the check character of GB 11643
// together.
func idNumber(rng *rand.Rand, region string, born time.Time) string {
	s := region + born.Format("20060102") + fmt.Sprintf("%03d", 1+rng.IntN(998))
	sum := 0
	for i, w := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += w * int(s[i]-'0')
	}
	return s + string("10X98765432"[sum%11])
}

// cardNumber makes 16 or 19 digits with the Luhn digit.
func cardNumber(rng *rand.Rand, prefix string) string {
	s := prefix + digits(rng, 9)
	if rng.IntN(2) == 0 {
		s += digits(rng, 3)
	}
	sum := 0
	for i := range len(s) {
		n := int(s[len(s)-1-i] - '0')
		if i%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return s + strconv.Itoa((10-sum%10)%10)
}
