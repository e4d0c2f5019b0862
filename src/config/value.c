#include "config/value.h"

#include <stdio.h>
#include <string.h>

#define NAME_SIZE_MAX 64 /* of a word that is compared with names */

/* ---- values ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

/* Digits, then one of the units (the first stands for none). */
static bool parse_with_unit(struct pd_slice text, const struct unit *units, size_t unit_count,
			    uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t at = 0;

	for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
		uint64_t digit = (uint64_t)text.data[at] - '0';

		if (number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	if (at == 0)
		return false;
	for (size_t i = 0; i < unit_count; i++) {
		struct pd_slice unit = pd_slice(text.data + at, text.size - at);

		if (!pd_slice_equal_nocase(unit, units[i].name))
			continue;
		if (number > UINT64_MAX / units[i].factor)
			return false;
		*ret_number = number * units[i].factor;
		return true;
	}
	return false;
}

bool pd_parse_size(struct pd_slice text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "b", 1 },
		{ "k", 1 << 10 },
		{ "kb", 1 << 10 },
		{ "kib", 1 << 10 },
		{ "m", 1 << 20 },
		{ "mb", 1 << 20 },
		{ "mib", 1 << 20 },
		{ "g", 1 << 30 },
		{ "gb", 1 << 30 },
		{ "gib", 1 << 30 },
		{ "t", UINT64_C(1) << 40 },
		{ "tb", UINT64_C(1) << 40 },
		{ "tib", UINT64_C(1) << 40 },
	};

	return parse_with_unit(text, units, sizeof units / sizeof *units, ret_bytes);
}

bool pd_parse_duration_ms(struct pd_slice text, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{ "", 1 },          { "ms", 1 },          { "s", 1000 },
		{ "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", 24 * 3600 * 1000 },
	};

	return parse_with_unit(text, units, sizeof units / sizeof *units, ret_ms);
}

bool pd_parse_interval_ms(struct pd_slice text, uint64_t *ret_ms)
{
	const uint64_t day_ms = UINT64_C(24) * 3600 * 1000;
	uint64_t ms;
	double seconds;

	if (pd_slice_to_double(text, &seconds))
		ms = seconds >= 0.001 && seconds <= 24 * 3600 ? (uint64_t)(seconds * 1000 + 0.5) : 0;
	else if (!pd_parse_duration_ms(text, &ms))
		return false;
	if (ms == 0 || ms > day_ms)
		return false;
	*ret_ms = ms;
	return true;
}

bool pd_parse_switch(struct pd_slice text, bool *ret_on)
{
	static const char *const on[] = { "1", "yes", "true", "on" };
	static const char *const off[] = { "0", "no", "false", "off", "" };

	for (size_t i = 0; i < sizeof on / sizeof *on; i++)
		if (pd_slice_equal_nocase(text, on[i])) {
			*ret_on = true;
			return true;
		}
	for (size_t i = 0; i < sizeof off / sizeof *off; i++)
		if (pd_slice_equal_nocase(text, off[i])) {
			*ret_on = false;
			return true;
		}
	return false;
}

/* ---- writing ---- */

void pd_format_size(uint64_t bytes, char text[PD_VALUE_SIZE])
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	while (bytes != 0 && bytes % 1024 == 0 && unit < 4) {
		bytes /= 1024;
		unit++;
	}
	(void)snprintf(text, PD_VALUE_SIZE, "%llu%s", (unsigned long long)bytes, units[unit]);
}

void pd_format_duration_ms(uint64_t ms, char text[PD_VALUE_SIZE])
{
	static const struct unit units[] = { { "h", 3600 * 1000 }, { "m", 60 * 1000 }, { "s", 1000 } };

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (ms != 0 && ms % units[i].factor == 0) {
			(void)snprintf(text, PD_VALUE_SIZE, "%llu%s",
				       (unsigned long long)(ms / units[i].factor), units[i].name);
			return;
		}
	(void)snprintf(text, PD_VALUE_SIZE, "%llu%s", (unsigned long long)ms, ms == 0 ? "" : "ms");
}

/* ---- names ---- */

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: edits of one character, and swaps of neighbours. Both are shorter than NAME_SIZE_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NAME_SIZE_MAX + 1];
	size_t a_size = strlen(a), b_size = strlen(b);
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= b_size; j++)
		last[j] = j;
	memset(rows[0], 0, sizeof rows[0]);
	for (size_t i = 1; i <= a_size; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			now[j] = last[j - 1] + (a[i - 1] != b[j - 1]);
			now[j] = least_of(now[j], least_of(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least_of(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[b_size];
}

const char *pd_nearest_name(const char *word, const char *const *candidates)
{
	size_t size = strlen(word);
	size_t best = 1 + size / 3; /* more edits than that, and it is another word */
	const char *nearest = NULL;

	if (size == 0 || size >= NAME_SIZE_MAX)
		return NULL;
	for (; *candidates != NULL; candidates++) {
		size_t edits;

		if (strlen(*candidates) >= NAME_SIZE_MAX)
			continue;
		edits = distance(word, *candidates);
		if (edits < best || (edits == best && nearest == NULL)) {
			best = edits;
			nearest = *candidates;
		}
	}
	return nearest;
}
