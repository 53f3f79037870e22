package audit

// actor reads {"auth":..,"id":..,"on_behalf":..,"roles":[..]}.
func (s *scanner) actor(v *actorView) {
	s.expect('{')
	for prev := []byte(nil); s.err == nil; {
		name := s.member(prev, className)
		switch string(name) {
		case "auth":
			v.auth = s.token()
		case "id":
			v.id = s.token()
		case "on_behalf":
			v.onBehalf = s.token()
		case "roles":
			v.roles = s.tokenList()
		default:
			s.fail("unknown member of actor")
		}
		prev = name
		if !s.more('}') {
			break
		}
	}
	if s.err == nil && v.id == nil {
		s.fail("actor without id")
	}
}

// decision reads {"article":..,"bundle":..,"id":..,"input_commitment":..,"reason":..,"result":..,"rule":..}.
func (s *scanner) decision(v *decisionView) {
	s.expect('{')
	for prev := []byte(nil); s.err == nil; {
		name := s.member(prev, className)
		switch string(name) {
		case "article":
			v.article = s.text()
		case "bundle":
			v.bundle = s.hex(64)
		case "id":
			v.id = s.token()
		case "input_commitment":
			v.inputCommitment = s.token()
		case "reason":
			v.reason = s.token()
		case "result":
			v.result = s.token()
		case "rule":
			v.rule = s.token()
		default:
			s.fail("unknown member of decision")
		}
		prev = name
		if !s.more('}') {
			break
		}
	}
	if r := string(v.result); s.err == nil && r != ResultAllow && r != ResultDeny {
		s.fail("decision whose result is neither allow nor deny")
	}
}

// key reads {"batch":..,"item":n,"lease":..,"name":..,"use":"n","version":n}; item goes with batch, use with lease.
func (s *scanner) key(v *keyView) {
	hasItem := false
	v.present = true
	s.expect('{')
	for prev := []byte(nil); s.err == nil; {
		name := s.member(prev, className)
		switch string(name) {
		case "batch":
			v.batch = s.token()
		case "item":
			v.item, hasItem = s.integer(), true
		case "lease":
			v.lease = s.token()
		case "name":
			v.name = s.token()
		case "use":
			v.use = s.positive()
		case "version":
			v.version = s.integer()
			if v.version == 0 {
				s.fail("zero that should have been left out")
			}
		default:
			s.fail("unknown member of key")
		}
		prev = name
		if !s.more('}') {
			break
		}
	}
	if s.err == nil && (v.item < 0 || v.version < 0 || hasItem != (v.batch != nil) || v.use > 0 && v.lease == nil) {
		s.fail("key with a negative number, an item without batch, or a use without lease")
	}
}

// commits reads {"path":"<64 hex>",...} and returns what stands between the braces.
func (s *scanner) commits() []byte {
	s.expect('{')
	from := s.i
	for prev := []byte(nil); s.err == nil; {
		name := s.member(prev, classPath)
		s.hex(64)
		prev = name
		if !s.more('}') {
			break
		}
	}
	if s.err != nil {
		return nil
	}
	return s.b[from : s.i-1]
}

// facts reads {"name":value,...} and returns what stands between the braces. A value is a string, an integer, a boolean or a
// list of strings.
func (s *scanner) facts() []byte {
	s.expect('{')
	from := s.i
	for prev := []byte(nil); s.err == nil; {
		name := s.member(prev, className)
		s.fact()
		prev = name
		if !s.more('}') {
			break
		}
	}
	if s.err != nil {
		return nil
	}
	return s.b[from : s.i-1]
}

func (s *scanner) fact() {
	switch s.peek() {
	case '"':
		s.str()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case '[':
		s.strings()
	default:
		s.integer()
	}
}

func (s *scanner) strings() {
	s.expect('[')
	if s.peek() == ']' {
		s.i++
		return
	}
	for s.err == nil {
		s.str()
		if !s.more(']') {
			return
		}
	}
}
