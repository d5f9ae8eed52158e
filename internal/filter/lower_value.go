package filter

import (
	"math"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// size is the length of a text in characters, or of a list.
func size(of node) node {
	value := of.value
	return valueNode(KindNumber, costCall, func(f *frame) Value {
		switch v := value(f); v.kind {
		case KindText:
			return Number(float64(utf8.RuneCountInString(v.text)))
		case KindList:
			return Number(float64(v.len()))
		}
		return Value{}
	})
}

// index is list[n].
func index(list, n node, kind Kind) node {
	return valueNode(kind, costCall, func(f *frame) Value {
		v, w := list.value(f), n.value(f)
		at := w.number()
		if w.kind != KindNumber || !(at >= 0 && at < float64(v.len())) || at != math.Trunc(at) {
			return Value{}
		}
		return v.at(int(at))
	})
}

// textTest is contains, startsWith or endsWith.
func textTest(name string, text, part node) node {
	test := map[string]func(text, part string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[name]
	x, y := text.value, part.value
	return testNode(costCall*4, func(f *frame) truth {
		v, w := x(f), y(f)
		if v.kind != KindText || w.kind != KindText {
			return unknown
		}
		return truthOf(test(v.text, w.text))
	})
}

// matches looks for a pattern of RE2, whose time is bounded by pattern and text.
func (l *lowering) matches(e ast.Expr, text node) (node, *Error) {
	pattern, isText := e.AsCall().Args()[0], false
	var source types.String
	if pattern.Kind() == ast.LiteralKind {
		source, isText = pattern.AsLiteral().(types.String)
	}
	if !isText {
		return node{}, at(l.tree, pattern, `write it in quotes, as in item.title.matches("^Trail")`, "the pattern of matches must be a text in the expression")
	}
	if len(source) > maxPatternBytes {
		return node{}, at(l.tree, pattern, "", "the pattern has %d bytes, the limit is %d", len(source), maxPatternBytes)
	}
	parsed, err := syntax.Parse(string(source), syntax.Perl)
	if err != nil {
		return node{}, at(l.tree, pattern, "patterns are those of RE2", "the pattern cannot be read: %s", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxPatternSteps {
		return node{}, at(l.tree, pattern, "repeat less", "the pattern is too large")
	}
	compiled, err := regexp.Compile(string(source))
	if err != nil {
		return node{}, at(l.tree, pattern, "patterns are those of RE2", "the pattern cannot be read: %s", err)
	}
	x := text.value
	return testNode(costPattern, func(f *frame) truth {
		v := x(f)
		if v.kind != KindText {
			return unknown
		}
		return truthOf(compiled.MatchString(v.text))
	}), nil
}

// convert is double(x), bool(x), timestamp(x) or duration(x): of a text, or of what it is already.
func convert(name string, from node) node {
	kind, read := KindNumber, textToNumber
	switch name {
	case "bool":
		kind, read = KindBool, textToBool
	case "timestamp":
		kind, read = KindTime, textToTime
	case "duration":
		kind, read = KindDuration, textToDuration
	}
	x := from.value
	return valueNode(kind, costPattern, func(f *frame) Value {
		switch v := x(f); v.kind {
		case kind:
			return v
		case KindText:
			return read(v.text)
		}
		return Value{}
	})
}

// textToTime reads RFC 3339 as CEL does: strictly. time.Parse also takes an hour of one digit, a comma, and zones beyond a day.
func textToTime(text string) Value {
	const hourEnds, zone = len("2006-01-02T15"), len("+01:00")
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || text[hourEnds] != ':' || strings.Contains(text, ",") {
		return Value{}
	}
	if offset := text[len(text)-zone:]; text[len(text)-1] != 'Z' && (offset[1:3] > "23" || offset[4:] > "59") {
		return Value{}
	}
	return timeWithin(t)
}

// Times that CEL knows: the years 1 to 9999.
const (
	minTime = -62135596800
	maxTime = 253402300799
)

func timeWithin(t time.Time) Value {
	if seconds := t.Unix(); seconds < minTime || seconds > maxTime {
		return Value{}
	}
	return Time(t)
}

func textToDuration(text string) Value {
	d, err := time.ParseDuration(text)
	if err != nil {
		return Value{}
	}
	return durationValue(d)
}

// alikeNode reads a text as what another value turns out to be.
func alikeNode(text, as node) node {
	x, y := text.value, as.value
	return valueNode(KindAny, costPattern, func(f *frame) Value {
		v, w := x(f), y(f)
		if v.kind != KindText || w.kind == KindMissing {
			return Value{}
		}
		return alike(v.text, &w)
	})
}

// calculate is + - * / of numbers, times and durations. What would leave the range of times or durations is missing.
func calculate(operator string, o []node, kind Kind) node {
	x := o[0].value
	if operator == operators.Negate {
		return valueNode(KindNumber, costCall, func(f *frame) Value {
			v := x(f)
			if v.kind != KindNumber {
				return Value{}
			}
			return Number(-v.number())
		})
	}
	y := o[1].value
	return valueNode(kind, costCall, func(f *frame) Value {
		v, w := x(f), y(f)
		switch operator { // not a function value: what such a one is given goes to the heap
		case operators.Add:
			return add(&v, &w)
		case operators.Subtract:
			return subtract(&v, &w)
		case operators.Multiply:
			return multiply(&v, &w)
		}
		return divide(&v, &w)
	})
}

func areNumbers(a, b *Value) bool { return a.kind == KindNumber && b.kind == KindNumber }

func multiply(a, b *Value) Value {
	if !areNumbers(a, b) {
		return Value{}
	}
	return Number(a.number() * b.number())
}

func divide(a, b *Value) Value {
	if !areNumbers(a, b) {
		return Value{}
	}
	return Number(a.number() / b.number())
}

func add(a, b *Value) Value {
	switch {
	case areNumbers(a, b):
		return Number(a.number() + b.number())
	case a.kind == KindTime && b.kind == KindDuration:
		return timeWithin(a.time().Add(b.duration()))
	case a.kind == KindDuration && b.kind == KindTime:
		return add(b, a)
	case a.kind == KindDuration && b.kind == KindDuration:
		sum := a.duration() + b.duration()
		if (sum > a.duration()) != (b.duration() > 0) && b.duration() != 0 {
			return Value{}
		}
		return durationValue(sum)
	}
	return Value{}
}

func subtract(a, b *Value) Value {
	switch {
	case areNumbers(a, b):
		return Number(a.number() - b.number())
	case a.kind == KindTime && b.kind == KindTime:
		d := a.time().Sub(b.time())
		if !b.time().Add(d).Equal(a.time()) { // Sub gives the longest duration instead of one that is too long
			return Value{}
		}
		return durationValue(d)
	case b.kind == KindDuration && b.duration() != math.MinInt64:
		negative := durationValue(-b.duration())
		return add(a, &negative)
	}
	return Value{}
}

// timePart is a part of a time, in UTC or in a time zone.
func (l *lowering) timePart(e ast.Expr, name string, o []node) (node, *Error) {
	zone := time.UTC
	if args := e.AsCall().Args(); len(args) > 0 {
		text, isText := types.String(""), false
		if args[0].Kind() == ast.LiteralKind {
			text, isText = args[0].AsLiteral().(types.String)
		}
		var err error
		if zone, err = time.LoadLocation(string(text)); err != nil || !isText || text == "" || text == "Local" {
			return node{}, at(l.tree, args[0], `write a name such as "Europe/Berlin"`, "this is not a time zone")
		}
	}
	part := map[string]func(t time.Time) int{
		"getFullYear": time.Time.Year, "getMonth": func(t time.Time) int { return int(t.Month()) - 1 }, "getDate": time.Time.Day,
		"getDayOfWeek": func(t time.Time) int { return int(t.Weekday()) }, "getHours": time.Time.Hour, "getMinutes": time.Time.Minute,
	}[name]
	x := o[0].value
	return valueNode(KindNumber, costPattern, func(f *frame) Value {
		v := x(f)
		if v.kind != KindTime {
			return Value{}
		}
		return Number(float64(part(v.time().In(zone))))
	}), nil
}
