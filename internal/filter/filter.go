// Package filter is the language in which shops say which items may be shown and which count more: CEL (cel.dev) over the fields of an
// item, the request's context, the visitor's attributes and the time. An expression is parsed and type-checked by cel-go once, and then
// lowered to Go closures over a Subject, so that asking an item runs no interpreter and allocates nothing.
//
// What differs from CEL's standard: every number is a double (`item.price < 50` and `size(item.labels) == 2` are what they look like),
// null, bytes, maps and the macros beside has, all and exists do not exist, and a value of context or user, which are texts, is read as
// a number, bool, time or duration where it meets one (coerce.go). What cannot be decided, such as the price of an item that has
// none, stays undecided through the operators as an error does in CEL; in the end it does not match.
package filter

// Limits of an expression. They bound what compiling and asking can cost.
const (
	// MaxBytes is the length of an expression: some forty conditions.
	MaxBytes = 2 << 10
	// maxDepth is how deep expressions nest, as the parser counts.
	maxDepth = 50
	// maxNodes is how many parts an expression has, those included that macros make.
	maxNodes = 500
	// maxPatternBytes is the length of a pattern of matches, and maxPatternSteps the size of the automaton it becomes.
	maxPatternBytes = 256
	maxPatternSteps = 2_000
)

// Program is a compiled expression. It never changes and may be shared.
type Program struct {
	text      string
	conjuncts []conjunct         // of a condition, all of which must hold
	factor    func(*frame) Value // of a number
	slots     []Value            // what does not depend on the item; constants are filled in
	bound     []boundSlot        // those that Bind fills in
	names     []Name
}

// Compile compiles a filter: an expression that is true for the items that match. The error is an *Error.
func Compile(text string) (*Program, error) { return compile(text, KindBool, true) }

// CompileCondition compiles a condition of a rule: a filter over context, user and now alone.
func CompileCondition(text string) (*Program, error) { return compile(text, KindBool, false) }

// CompileFactor compiles an expression whose value is a number, by which scores are multiplied.
func CompileFactor(text string) (*Program, error) { return compile(text, KindNumber, true) }

// String is the text that the program was compiled from.
func (p *Program) String() string { return p.text }

// Names are the values of context and user that the program reads.
func (p *Program) Names() []Name { return p.names }
