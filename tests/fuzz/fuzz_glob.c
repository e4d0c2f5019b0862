/* Patterns against a matcher that tries every way, for texts short enough for that; and what every match begins with. */
#include "input.h"
#include "model/kv/glob.h"

#define SIZE_MAX_BOTH 24

/* Does the set that begins behind "[" have the byte? *ret_end: what follows it. As stringmatchlen() of Redis reads one. */
static bool set_has(struct pd_slice set, uint8_t byte, struct pd_slice *ret_end)
{
	bool negated = set.size > 0 && set.data[0] == '^', has = false;

	if (negated)
		set = pd_slice(set.data + 1, set.size - 1);
	for (; set.size > 0 && set.data[0] != ']'; set = pd_slice(set.data + 1, set.size - 1)) {
		if (set.data[0] == '\\' && set.size >= 2) {
			set = pd_slice(set.data + 1, set.size - 1);
			has |= set.data[0] == byte;
		} else if (set.size >= 3 && set.data[1] == '-') {
			uint8_t a = set.data[0], b = set.data[2];

			has |= a <= b ? byte >= a && byte <= b : byte >= b && byte <= a;
			set = pd_slice(set.data + 2, set.size - 2);
		} else {
			has |= set.data[0] == byte;
		}
	}
	*ret_end = set.size > 0 ? pd_slice(set.data + 1, set.size - 1) : set;
	return has != negated;
}

static struct pd_slice behind(struct pd_slice slice, size_t count)
{
	return pd_slice(slice.data + count, slice.size - count);
}

static bool matches(struct pd_slice pattern, struct pd_slice text)
{
	struct pd_slice rest;

	if (pattern.size == 0)
		return text.size == 0;
	switch (pattern.data[0]) {
	case '*':
		while (pattern.size > 1 && pattern.data[1] == '*')
			pattern = behind(pattern, 1);
		for (size_t i = 0; i <= text.size; i++)
			if (matches(behind(pattern, 1), behind(text, i)))
				return true;
		return false;
	case '?':
		return text.size > 0 && matches(behind(pattern, 1), behind(text, 1));
	case '[':
		return text.size > 0 && set_has(behind(pattern, 1), text.data[0], &rest) &&
		       matches(rest, behind(text, 1));
	case '\\':
		if (pattern.size >= 2)
			pattern = behind(pattern, 1);
		break;
	default:
		break;
	}
	return text.size > 0 && pattern.data[0] == text.data[0] &&
	       matches(behind(pattern, 1), behind(text, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct pd_slice pattern = take_piece(&input), text, prefix;
	uint8_t *pattern_copy = copy_bytes(pattern),
		*text_copy = copy_bytes(pd_slice(input.data, input.size));
	bool match;

	pattern.data = pattern_copy;
	text = pd_slice(text_copy, input.size < 4096 ? input.size : 4096);
	match = pd_glob_match(pattern, text);
	prefix = pd_glob_prefix(pattern);
	(void)pd_glob_match_nocase(pattern, text);
	if (match)
		PD_ASSERT(pd_slice_starts_with(text, prefix));
	/* To Redis, nothing is only what "" and "*" match. */
	if (text.size > 0 && pattern.size <= SIZE_MAX_BOTH && text.size <= SIZE_MAX_BOTH)
		PD_ASSERT(match == matches(pattern, text));
	free(pattern_copy);
	free(text_copy);
	return 0;
}
