// Package postgresdeploy holds the SQL that an operator runs before the first
// migration, for Go programs that run the same.
//
// One idea: the demo and the tests start from the same roles and rights as an
// operator's database, so a right that is missing is missing in the tests too.
//
// It must never know a driver or a table.
package postgresdeploy

import _ "embed"

//go:embed roles.sql
var roles string

//go:embed grants.sql
var grants string

// AppRole is the login of the service; OwnerRole and AuditOwnerRole own the
// tables and cannot log in.
const (
	AppRole        = "sealtrail_app"
	OwnerRole      = "sealtrail_owner"
	AuditOwnerRole = "audit_owner"
)

// Roles makes the roles of a cluster. Safe to run again; two runs at the same
// moment may collide, so take an advisory lock.
func Roles() string { return roles }

// Grants sets the rights on the current database. Safe to run again.
func Grants() string { return grants }
