package filter

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// The variables of expressions.
const (
	varItem    = "item"
	varContext = "context"
	varUser    = "user"
	varNow     = "now"
	fieldOwn   = "fields" // of item: the shop's own
)

// Functions that are not of CEL's standard library: it gives whole numbers, of which this language has none.
const (
	funcSize  = "size"
	funcAlike = "@alike" // cannot be written: see coerce.go
)

// itemType is the name of the type of item.
const itemType = "millrace.Item"

// kept are the functions of CEL's standard library that the language has, with their overloads.
var kept = map[string][]string{
	operators.Conditional: {"conditional"}, operators.LogicalAnd: {"logical_and"}, operators.LogicalOr: {"logical_or"},
	operators.LogicalNot: {"logical_not"}, operators.NotStrictlyFalse: {"not_strictly_false"},
	operators.Equals: {"equals"}, operators.NotEquals: {"not_equals"},
	operators.Less:          {"less_double", "less_string", "less_timestamp", "less_duration"},
	operators.LessEquals:    {"less_equals_double", "less_equals_string", "less_equals_timestamp", "less_equals_duration"},
	operators.Greater:       {"greater_double", "greater_string", "greater_timestamp", "greater_duration"},
	operators.GreaterEquals: {"greater_equals_double", "greater_equals_string", "greater_equals_timestamp", "greater_equals_duration"},
	operators.Add:           {"add_double", "add_timestamp_duration", "add_duration_timestamp", "add_duration_duration"},
	operators.Subtract: {"subtract_double", "subtract_timestamp_timestamp", "subtract_timestamp_duration",
		"subtract_duration_duration"},
	operators.Multiply: {"multiply_double"}, operators.Divide: {"divide_double"}, operators.Negate: {"negate_double"},
	operators.In: {"in_list"}, operators.Index: {"index_map"},
	"contains": {"contains_string"}, "startsWith": {"starts_with_string"}, "endsWith": {"ends_with_string"}, "matches": {"matches_string"},
	"double": {"double_to_double", "string_to_double"}, "bool": {"bool_to_bool", "string_to_bool"},
	"timestamp": {"timestamp_to_timestamp", "string_to_timestamp"}, "duration": {"duration_to_duration", "string_to_duration"},
}

// getters read a part of a time in UTC, or in the time zone that they are given.
var getters = []string{"getFullYear", "getMonth", "getDate", "getDayOfWeek", "getHours", "getMinutes"}

// newEnvironment makes the language: what may be written, and its types.
func newEnvironment(provider types.Provider) (*cel.Env, error) {
	subset := &env.LibrarySubset{IncludeMacros: []string{operators.Has, operators.All, operators.Exists}}
	for name, overloads := range kept {
		f := &env.Function{Name: name}
		for _, id := range overloads {
			f.Overloads = append(f.Overloads, &env.Overload{ID: id})
		}
		subset.IncludeFunctions = append(subset.IncludeFunctions, f)
	}
	texts := cel.MapType(cel.StringType, cel.DynType) // what meets a value is read as one: see coerce.go
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.CustomTypeProvider(provider),
		cel.Variable(varItem, cel.ObjectType(itemType)), cel.Variable(varNow, cel.TimestampType),
		cel.Variable(varContext, texts), cel.Variable(varUser, texts),
		cel.ParserRecursionLimit(maxDepth), cel.ParserErrorRecoveryLimit(1), cel.ExpressionNodeLimit(maxNodes),
		cel.EnableHiddenAccumulatorName(true),
	}
	return cel.NewCustomEnv(append(options, ownFunctions()...)...)
}

// ownFunctions are those that give numbers where CEL gives whole ones, and the one that coerce.go inserts.
func ownFunctions() []cel.EnvOption {
	list := cel.ListType(cel.TypeParamType("A"))
	size := cel.UnaryBinding(func(v ref.Val) ref.Val { return wholeToNumber(v.(interface{ Size() ref.Val }).Size()) })
	options := []cel.EnvOption{
		cel.Function(funcSize,
			cel.Overload("size_string_number", []*cel.Type{cel.StringType}, cel.DoubleType, size),
			cel.Overload("size_list_number", []*cel.Type{list}, cel.DoubleType, size),
			cel.MemberOverload("string_size_number", []*cel.Type{cel.StringType}, cel.DoubleType, size),
			cel.MemberOverload("list_size_number", []*cel.Type{list}, cel.DoubleType, size)),
		cel.Function(operators.Index,
			cel.Overload("index_list_number", []*cel.Type{list, cel.DoubleType}, cel.TypeParamType("A"))),
		cel.Function(funcAlike,
			cel.Overload("alike", []*cel.Type{cel.StringType, cel.DynType}, cel.DynType, cel.BinaryBinding(alikeInCEL))),
	}
	for _, name := range getters {
		options = append(options, cel.Function(name,
			cel.MemberOverload("timestamp_"+name, []*cel.Type{cel.TimestampType}, cel.DoubleType,
				cel.UnaryBinding(func(t ref.Val) ref.Val { // in UTC, whatever zone it was written in
					return wholeToNumber(types.Timestamp{Time: t.(types.Timestamp).UTC()}.Receive(name, "", nil))
				})),
			cel.MemberOverload("timestamp_"+name+"_zone", []*cel.Type{cel.TimestampType, cel.StringType}, cel.DoubleType,
				cel.BinaryBinding(func(t, zone ref.Val) ref.Val {
					return wholeToNumber(t.(types.Timestamp).Receive(name, "", []ref.Val{zone}))
				}))))
	}
	return options
}

func wholeToNumber(v ref.Val) ref.Val {
	if n, ok := v.(types.Int); ok {
		return types.Double(n)
	}
	return v
}

// provider tells CEL the type of item. Get and isSet read an item where CEL itself evaluates, which only tests do.
type provider struct {
	*types.Registry
	get   func(subject any, field string) (any, error)
	isSet func(subject any, field string) bool
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if name == itemType {
		return types.NewTypeTypeWithParam(types.NewObjectType(itemType)), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if name == itemType {
		return fieldNames(), true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name != itemType {
		return p.Registry.FindStructFieldType(name, field)
	}
	t := cel.MapType(cel.StringType, cel.DynType)
	if field != fieldOwn {
		f, ok := fieldNamed(field)
		if !ok {
			return nil, false
		}
		t = celType(fields[f].kind)
	}
	return &types.FieldType{
		Type:    t,
		IsSet:   func(subject any) bool { return p.isSet(subject, field) },
		GetFrom: func(subject any) (any, error) { return p.get(subject, field) },
	}, true
}

func celType(k Kind) *cel.Type {
	switch k {
	case KindBool:
		return cel.BoolType
	case KindNumber:
		return cel.DoubleType
	case KindText:
		return cel.StringType
	case KindTime:
		return cel.TimestampType
	case KindList:
		return cel.ListType(cel.StringType)
	}
	return cel.DynType
}

// kindOf is the kind of values of an expression of a CEL type.
func kindOf(t *cel.Type) Kind {
	switch t.Kind() {
	case types.BoolKind:
		return KindBool
	case types.DoubleKind:
		return KindNumber
	case types.StringKind:
		return KindText
	case types.TimestampKind:
		return KindTime
	case types.DurationKind:
		return KindDuration
	case types.ListKind:
		return KindList
	}
	return KindAny
}

func fieldNames() []string {
	names := make([]string, 0, len(fields)+1)
	for _, f := range fields {
		names = append(names, f.name)
	}
	return append(slices.Clip(names), fieldOwn)
}
