/* Every element of a pattern except "*" stands for exactly one byte. So only the last "*" seen ever has to be tried
 * again, one byte further on: an earlier one could find no match that the last would miss. That is what keeps a
 * pattern such as "a*a*a*a*b" from taking exponential time, and needs no recursion.
 *
 * Odd cases are Redis's (stringmatchlen in util.c): a set that is not closed ends with the pattern, "]" right after
 * "[" closes it, the end of a range may be "]", an "\" at the very end is itself, and a text of no bytes matches only
 * an empty pattern or "*". */
#include "model/kv/glob.h"

/* Bytes are compared as they are, or without regard to the case of ASCII letters. */
static uint8_t fold(uint8_t byte, bool nocase)
{
	return nocase && byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

static bool set_range_has(uint8_t from, uint8_t to, uint8_t byte)
{
	return from <= to ? byte >= from && byte <= to : byte >= to && byte <= from;
}

/* The set that begins behind its "[", against a folded byte. Returns the bytes it takes, "]" included. */
static size_t match_set(struct pd_slice set, uint8_t byte, bool nocase, bool *ret_matches)
{
	bool negated = set.size > 0 && set.data[0] == '^';
	size_t at = negated ? 1 : 0;
	bool has = false;

	while (at < set.size && set.data[at] != ']') {
		size_t left = set.size - at;

		if (left >= 2 && set.data[at] == '\\') {
			has |= fold(set.data[at + 1], nocase) == byte;
			at += 2;
		} else if (left >= 3 && set.data[at + 1] == '-') {
			has |= set_range_has(fold(set.data[at], nocase), fold(set.data[at + 2], nocase),
					     byte);
			at += 3;
		} else {
			has |= fold(set.data[at], nocase) == byte;
			at++;
		}
	}
	*ret_matches = has != negated;
	return at < set.size ? at + 1 : at;
}

/* The element at the front of the pattern, which is not "*", against a folded byte. Returns the bytes it takes. */
static size_t match_element(struct pd_slice pattern, uint8_t byte, bool nocase, bool *ret_matches)
{
	switch (pattern.data[0]) {
	case '?':
		*ret_matches = true;
		return 1;
	case '[':
		return 1 + match_set(pd_slice(pattern.data + 1, pattern.size - 1), byte, nocase, ret_matches);
	case '\\':
		if (pattern.size >= 2) {
			*ret_matches = fold(pattern.data[1], nocase) == byte;
			return 2;
		}
		break;
	default:
		break;
	}
	*ret_matches = fold(pattern.data[0], nocase) == byte;
	return 1;
}

static size_t skip_stars(struct pd_slice pattern, size_t at)
{
	while (at < pattern.size && pattern.data[at] == '*')
		at++;
	return at;
}

static bool match(struct pd_slice pattern, struct pd_slice text, bool nocase)
{
	bool has_star = false;
	size_t star_pattern = 0, star_text = 0;
	size_t p = 0, t = 0;

	if (text.size == 0)
		return pattern.size == 0 || (pattern.size == 1 && pattern.data[0] == '*');
	while (t < text.size) {
		bool matches = false;
		size_t taken = 0;

		if (p < pattern.size && pattern.data[p] == '*') {
			p = skip_stars(pattern, p);
			if (p == pattern.size)
				return true;
			has_star = true;
			star_pattern = p;
			star_text = t;
			continue;
		}
		if (p < pattern.size)
			taken = match_element(pd_slice(pattern.data + p, pattern.size - p),
					      fold(text.data[t], nocase), nocase, &matches);
		if (matches) {
			p += taken;
			t++;
		} else if (has_star) {
			p = star_pattern;
			t = ++star_text;
		} else {
			return false;
		}
	}
	return skip_stars(pattern, p) == pattern.size;
}

bool pd_glob_match(struct pd_slice pattern, struct pd_slice text)
{
	return match(pattern, text, false);
}

bool pd_glob_match_nocase(struct pd_slice pattern, struct pd_slice text)
{
	return match(pattern, text, true);
}

struct pd_slice pd_glob_prefix(struct pd_slice pattern)
{
	size_t size = 0;

	while (size < pattern.size && strchr("*?[\\", pattern.data[size]) == NULL)
		size++;
	return pd_slice(pattern.data, size);
}
