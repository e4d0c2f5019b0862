/* What several commands share: patterns and help pages. */
#include <stdio.h>
#include <string.h>

#include "front/resp/front_private.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Does the class that begins behind "[" at `at` hold `c`? *ret_end is what follows "]". */
static bool match_class(const uint8_t *at, const uint8_t *end, uint8_t c, const uint8_t **ret_end)
{
	bool negated = at < end && *at == '^';
	bool found = false;

	if (negated)
		at++;
	while (at < end && *at != ']') {
		uint8_t first, last;

		if (*at == '\\' && end - at > 1)
			at++;
		first = last = lower(*at++);
		if (end - at > 1 && *at == '-' && at[1] != ']') {
			last = lower(at[1]);
			at += 2;
		}
		if ((first <= c && c <= last) || (last <= c && c <= first))
			found = true;
	}
	*ret_end = at < end ? at + 1 : end;
	return found != negated;
}

bool pd_resp_match_nocase(struct pd_slice pattern, struct pd_slice text)
{
	const uint8_t *p = pattern.data, *p_end = p + pattern.size;
	const uint8_t *t = text.data, *t_end = t + text.size;
	/* Where to go on after the last "*", one more byte taken by it: no recursion, at worst quadratic. */
	const uint8_t *star = NULL, *star_text = NULL;

	while (t < t_end) {
		const uint8_t *next = p;
		bool matched = false;

		if (p < p_end && *p == '*') {
			star = ++p;
			star_text = t;
			continue;
		}
		if (p < p_end) {
			if (*p == '[') {
				matched = match_class(p + 1, p_end, lower(*t), &next);
			} else {
				if (*next == '\\' && p_end - next > 1)
					next++;
				matched = (*p == '?') || lower(*next) == lower(*t);
				next++;
			}
		}
		if (matched) {
			p = next;
			t++;
		} else if (star != NULL) {
			p = star;
			t = ++star_text;
		} else {
			return false;
		}
	}
	while (p < p_end && *p == '*')
		p++;
	return p == p_end;
}

void pd_resp_write_help(struct pd_resp_writer *reply, const char *container, const char *const *lines,
			size_t count)
{
	char first[96];

	(void)snprintf(first, sizeof first,
		       "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container);
	pd_resp_write_array(reply, count + 3);
	pd_resp_write_status(reply, first);
	for (size_t i = 0; i < count; i++)
		pd_resp_write_status(reply, lines[i]);
	pd_resp_write_status(reply, "HELP");
	pd_resp_write_status(reply, "    Prints this help.");
}
