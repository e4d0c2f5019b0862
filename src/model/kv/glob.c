/* Every element of a pattern except "*" stands for exactly one byte. So only the last "*" seen ever has to be tried
 * again, one byte further on: an earlier one could find no match that the last would miss. That is what keeps a
 * pattern such as "a*a*a*a*b" from taking exponential time, and needs no recursion.
 *
 * Odd cases are Redis's (stringmatchlen in util.c): a set that is not closed ends with the pattern, "]" right after
 * "[" closes it, the end of a range may be "]", an "\" at the very end is itself, and a text of no bytes matches only
 * an empty pattern or "*". */
#include "model/kv/glob.h"

static bool set_range_has(uint8_t from, uint8_t to, uint8_t byte)
{
	return from <= to ? byte >= from && byte <= to : byte >= to && byte <= from;
}

/* The set that begins behind its "[". Returns the bytes it takes, "]" included. */
static size_t match_set(struct pd_slice set, uint8_t byte, bool *ret_matches)
{
	bool negated = set.size > 0 && set.data[0] == '^';
	size_t at = negated ? 1 : 0;
	bool has = false;

	while (at < set.size && set.data[at] != ']') {
		size_t left = set.size - at;

		if (left >= 2 && set.data[at] == '\\') {
			has |= set.data[at + 1] == byte;
			at += 2;
		} else if (left >= 3 && set.data[at + 1] == '-') {
			has |= set_range_has(set.data[at], set.data[at + 2], byte);
			at += 3;
		} else {
			has |= set.data[at] == byte;
			at++;
		}
	}
	*ret_matches = has != negated;
	return at < set.size ? at + 1 : at;
}

/* The element at the front of the pattern, which is not "*". Returns the bytes it takes. */
static size_t match_element(struct pd_slice pattern, uint8_t byte, bool *ret_matches)
{
	switch (pattern.data[0]) {
	case '?':
		*ret_matches = true;
		return 1;
	case '[':
		return 1 + match_set(pd_slice(pattern.data + 1, pattern.size - 1), byte, ret_matches);
	case '\\':
		if (pattern.size >= 2) {
			*ret_matches = pattern.data[1] == byte;
			return 2;
		}
		break;
	default:
		break;
	}
	*ret_matches = pattern.data[0] == byte;
	return 1;
}

static size_t skip_stars(struct pd_slice pattern, size_t at)
{
	while (at < pattern.size && pattern.data[at] == '*')
		at++;
	return at;
}

bool pd_glob_match(struct pd_slice pattern, struct pd_slice text)
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
			taken = match_element(pd_slice(pattern.data + p, pattern.size - p), text.data[t],
					      &matches);
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

struct pd_slice pd_glob_prefix(struct pd_slice pattern)
{
	size_t size = 0;

	while (size < pattern.size && strchr("*?[\\", pattern.data[size]) == NULL)
		size++;
	return pd_slice(pattern.data, size);
}
