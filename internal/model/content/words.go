package content

import (
	"unicode"
	"unicode/utf8"
)

// words adds the words of a text, lower-cased, with the pairs and the pieces that the configuration asks for. A word is a run of
// letters, marks and digits; of scripts that put no spaces between words each letter is one, and pairs make words of them.
func (t *tokenizer) words(text string, times float32) {
	t.before = t.before[:0]
	for _, r := range clip(text) {
		switch {
		case !isWord(r):
			t.endWord(times)
			continue
		case isSpaceless(r):
			t.endWord(times)
			t.letter(r)
			t.endWord(times)
			continue
		}
		t.letter(unicode.ToLower(r))
	}
	t.endWord(times)
}

func (t *tokenizer) letter(r rune) {
	t.reading = true
	t.starts = append(t.starts, len(t.word))
	t.word = utf8.AppendRune(t.word, r)
}

// endWord adds the word at hand, if there is one.
func (t *tokenizer) endWord(times float32) {
	if !t.reading {
		return
	}
	t.text = append(append(append(t.text[:0], kindWord), t.name...), t.word...)
	t.add(times)
	if t.cfg.Pairs > 0 && len(t.before) > 0 {
		t.text = append(append(append(t.text[:0], kindPair), t.name...), t.before...)
		t.text = append(append(t.text, ' '), t.word...)
		t.add(times * float32(t.cfg.Pairs))
	}
	t.pieces(times * float32(t.cfg.Pieces))
	t.before = append(t.before[:0], t.word...)
	t.word, t.starts, t.reading = t.word[:0], t.starts[:0], false
}

// pieces adds the sequences of PieceLength letters of a word: "shoes" and "shoe" share one.
func (t *tokenizer) pieces(times float32) {
	length := t.cfg.PieceLength
	if times == 0 || len(t.starts) < length {
		return
	}
	for first := 0; first+length <= len(t.starts); first++ {
		end := len(t.word)
		if first+length < len(t.starts) {
			end = t.starts[first+length]
		}
		t.text = append(append(append(t.text[:0], kindPiece), t.name...), t.word[t.starts[first]:end]...)
		t.add(times)
	}
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.N)
}

// isSpaceless reports whether a letter is of a script that is written without spaces.
func isSpaceless(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}
