package filter

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// Error says what is wrong with an expression, where (both count from 1; 0 is nowhere in particular), and what to write instead, where
// that is known.
type Error struct {
	Line, Column int
	Message      string
	Hint         string
}

func (e *Error) Error() string {
	text := e.Message
	if e.Line > 0 {
		text = fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// at is an error about a part of the expression.
func at(tree *ast.AST, e ast.Expr, hint, format string, args ...any) *Error {
	where := tree.SourceInfo().GetStartLocation(e.ID())
	err := &Error{Message: fmt.Sprintf(format, args...), Hint: hint}
	if where.Line() > 0 {
		err.Line, err.Column = where.Line(), where.Column()+1
	}
	return err
}

var (
	undefinedField = regexp.MustCompile(`^undefined field '(.*)'$`)
	undeclared     = regexp.MustCompile(`^undeclared reference to '(.*?)'`)
	noOverload     = regexp.MustCompile(`^found no matching overload for '(.*)' applied to '(.*)'$`)
	celTypes       = strings.NewReplacer("double", "number", "string", "text", "timestamp", "time", "dyn", "any value", itemType, "item")
)

// explain makes the first of CEL's findings an Error.
func explain(issues *cel.Issues) *Error {
	all := issues.Errors()
	if len(all) == 0 {
		return &Error{Message: issues.Err().Error()}
	}
	first := all[0]
	err := &Error{Message: first.Message}
	if line := first.Location.Line(); line > 0 {
		err.Line, err.Column = line, first.Location.Column()+1
	}
	if m := undefinedField.FindStringSubmatch(first.Message); m != nil {
		err.Message = fmt.Sprintf("an item has no field %q", m[1])
		err.Hint = meant(m[1], fieldNames(), varItem+".", "the shop's own fields are item.fields.NAME")
	} else if m := undeclared.FindStringSubmatch(first.Message); m != nil {
		err.Message = fmt.Sprintf("%q is not known here", m[1])
		err.Hint = meant(m[1], knownNames(), "", "there are item, context, user and now; texts stand in quotes")
	} else if m := noOverload.FindStringSubmatch(first.Message); m != nil {
		err.Message, err.Hint = explainOverload(m[1], m[2])
	} else if strings.HasPrefix(first.Message, "Syntax error:") {
		err.Message = explainSyntax(strings.TrimPrefix(first.Message, "Syntax error: "))
	} else {
		err.Message = celTypes.Replace(first.Message)
	}
	return err
}

// explainSyntax leaves out the parser's long lists of what might have stood there.
func explainSyntax(message string) string {
	found, _, _ := strings.Cut(message, " expecting ")
	if strings.Contains(found, "<EOF>") {
		return "syntax error: the expression ends too early"
	}
	return "syntax error: " + found
}

// explainOverload says that an operator or function takes no operands of these types.
func explainOverload(function, applied string) (message, hint string) {
	shown := strings.Trim(function, "_@")
	if text, ok := operators.FindReverse(function); ok && text != "" {
		shown = text
	}
	applied = celTypes.Replace(applied)
	message = fmt.Sprintf("%s does not take %s", shown, applied)
	switch {
	case function == operators.In:
		hint = `in takes a value on the left and a list on the right, as in "shoes" in item.categories`
	case strings.Contains(applied, "list(") && (function == operators.Equals || function == operators.NotEquals):
		hint = `write "x" in item.categories, or item.categories.exists(c, c == "x")`
	case strings.Contains(applied, "text") && strings.Contains(applied, "number"):
		hint = "both sides must be of one type; double(...) reads a text as a number"
	case strings.Contains(applied, "text") && strings.Contains(applied, "time"):
		hint = `both sides must be of one type; timestamp("2026-01-31T00:00:00Z") is a time`
	default:
		hint = "all operands must be of one type"
	}
	return message, hint
}

// knownNames are what an expression may begin with.
func knownNames() []string {
	names := []string{varItem, varContext, varUser, varNow, operators.Has, operators.All, operators.Exists, funcSize}
	for name := range kept {
		if name[0] >= 'a' && name[0] <= 'z' {
			names = append(names, name)
		}
	}
	return append(names, getters...)
}

// meant is the hint for a name that does not exist: the nearest that does, where one is near.
func meant(name string, known []string, prefix, otherwise string) string {
	best, nearest := "", len(name)/2+1
	for _, k := range known {
		if d := distance(name, k); d < nearest || d == nearest && best != "" && k < best {
			best, nearest = k, d
		}
	}
	if best == "" {
		return otherwise
	}
	return "did you mean " + prefix + best + "?"
}

// distance is how many letters must be changed, left out or put in to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
