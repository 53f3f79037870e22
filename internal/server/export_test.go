package server

import "github.com/sealtrail/sealtrail/crypto/keyring"

// Keys are the keys that the service has borrowed.
func (s *Server) Keys() *keyring.Keyring { return s.keys }
