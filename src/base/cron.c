#include "base/cron.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"

#define MINUTE_US   UINT64_C(60000000)
#define SECOND_US   UINT64_C(1000000)
#define DAY_MINUTES 1440u
/* 29 February on a given day of the week comes again after 40 years where a year without one lies between, such as 2100. */
#define DAYS_AHEAD 14611u
#define TEXT_SHOWN 40

/* ---- the fields ---- */

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun",
					   "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

struct field {
	const char *what;
	unsigned least, most;
	const char *const *names; /* of the values from `least` on; NULL: none */
	unsigned name_count;
};

static const struct field fields[] = {
	{ "minute", 0, 59, NULL, 0 },
	{ "hour", 0, 23, NULL, 0 },
	{ "day of the month", 1, 31, NULL, 0 },
	{ "month", 1, 12, month_names, 12 },
	{ "day of the week", 0, 7, weekday_names, 7 }, /* 7 is Sunday, too */
};
enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELD_COUNT };

static const struct field second_field = { "second", 0, 59, NULL, 0 };

static int wrong(const struct field *field, struct pd_slice text, const char *why, struct pd_error *err)
{
	return pd_error_set(err, PD_INVALID, "\"%.*s\" is no %s: %s",
			    (int)(text.size < TEXT_SHOWN ? text.size : TEXT_SHOWN), (const char *)text.data,
			    field->what, why);
}

static int out_of_range(const struct field *field, struct pd_slice text, struct pd_error *err)
{
	char why[80];

	(void)snprintf(why, sizeof why, "%u to %u%s%s%s", field->least, field->most,
		       field->names != NULL ? ", or a name such as " : "",
		       field->names != NULL ? field->names[0] : "",
		       field->names != NULL ? "" : ", a range 1-5, a list 1,3 or a star");
	return wrong(field, text, why, err);
}

/* The text up to the first of these characters, which goes with it; all of it, if there is none. */
static struct pd_slice cut(struct pd_slice *rest, char at, bool *ret_found)
{
	const uint8_t *end = rest->size > 0 ? memchr(rest->data, at, rest->size) : NULL;
	struct pd_slice part = *rest;

	*ret_found = end != NULL;
	if (end == NULL) {
		*rest = pd_slice(rest->data + rest->size, 0);
		return part;
	}
	part.size = (size_t)(end - part.data);
	*rest = pd_slice(end + 1, rest->size - part.size - 1);
	return part;
}

static bool parse_number(struct pd_slice text, unsigned *ret_number)
{
	unsigned number = 0;

	if (text.size == 0 || text.size > 4)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (unsigned)(text.data[i] - '0');
	}
	*ret_number = number;
	return true;
}

static bool parse_value(const struct field *field, struct pd_slice text, unsigned *ret_value)
{
	for (unsigned i = 0; i < field->name_count; i++)
		if (pd_slice_equal_nocase(text, field->names[i])) {
			*ret_value = field->least + i;
			return true;
		}
	return parse_number(text, ret_value) && *ret_value >= field->least && *ret_value <= field->most;
}

/* "*", "*"/2, "1-5", "1-5/2", "3". */
static int parse_part(const struct field *field, struct pd_slice part, uint64_t *mask, struct pd_error *err)
{
	struct pd_slice rest = part, range, first;
	unsigned from = field->least, to = field->most, step = 1;
	bool stepped, ranged;

	range = cut(&rest, '/', &stepped);
	if (stepped && (!parse_number(rest, &step) || step == 0 || step > field->most))
		return wrong(field, part, "behind the stroke stands a step, such as */15", err);
	if (!pd_slice_equal(range, pd_slice_string("*"))) {
		rest = range;
		first = cut(&rest, '-', &ranged);
		if (!parse_value(field, first, &from) || (ranged && !parse_value(field, rest, &to)))
			return out_of_range(field, part, err);
		if (!ranged && stepped)
			return wrong(field, part, "a step goes over a range: say from where to where, or */N",
				     err);
		if (!ranged)
			to = from;
		if (from > to)
			return wrong(field, part, "the range goes backwards: make two of it, with a comma",
				     err);
	}
	for (unsigned value = from; value <= to; value += step)
		*mask |= UINT64_C(1) << value;
	return 0;
}

static int parse_field(const struct field *field, struct pd_slice text, uint64_t *mask, struct pd_error *err)
{
	bool more = true;
	int result = 0;

	*mask = 0;
	while (more && result == 0) {
		struct pd_slice part = cut(&text, ',', &more);

		result = parse_part(field, part, mask, err);
	}
	return result;
}

/* ---- all of it ---- */

static const char *expand(const char *text)
{
	static const struct {
		const char *name, *means;
	} names[] = {
		{ "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
		{ "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
		{ "@annually", "0 0 1 1 *" },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (pd_slice_equal_nocase(pd_slice_string(text), names[i].name))
			return names[i].means;
	return text;
}

/* At most one more than there may be. */
static size_t split(const char *text, struct pd_slice words[FIELD_COUNT + 2])
{
	size_t count = 0;

	while (count <= FIELD_COUNT + 1) {
		size_t size;

		text += strspn(text, " \t");
		size = strcspn(text, " \t");
		if (size == 0)
			break;
		words[count++] = pd_slice(text, size);
		text += size;
	}
	return count;
}

int pd_cron_parse(const char *text, struct pd_cron *ret_cron, struct pd_error *err)
{
	struct pd_slice all[FIELD_COUNT + 2], *words = all;
	uint64_t masks[FIELD_COUNT], seconds = 1;
	const char *expanded;
	size_t count;
	int result = 0;

	text += strspn(text, " \t");
	expanded = expand(text);
	if (expanded[0] == '@')
		return pd_error_set(err, PD_INVALID,
				    "\"%.*s\" is none of @hourly, @daily, @weekly, @monthly and @yearly",
				    TEXT_SHOWN, text);
	count = split(expanded, all);
	if (count != FIELD_COUNT && count != FIELD_COUNT + 1)
		return pd_error_set(err, PD_INVALID,
				    "\"%.*s\" is no schedule: it has five fields, minute, hour, day of the "
				    "month, month, day of the week, such as \"0 3 * * 0\", and seconds may "
				    "come before them; or is @daily",
				    TEXT_SHOWN, text);
	if (count > FIELD_COUNT)
		result = parse_field(&second_field, *words++, &seconds, err);
	for (size_t i = 0; i < FIELD_COUNT && result == 0; i++)
		result = parse_field(&fields[i], words[i], &masks[i], err);
	if (result != 0)
		return result;
	*ret_cron = (struct pd_cron){ .seconds = seconds,
				      .minutes = masks[MINUTE],
				      .hours = (uint32_t)masks[HOUR],
				      .days = (uint32_t)masks[DAY],
				      .months = (uint16_t)masks[MONTH],
				      .weekdays = (uint8_t)((masks[WEEKDAY] | masks[WEEKDAY] >> 7) & 0x7f),
				      .any_day = words[DAY].data[0] == '*',
				      .any_weekday = words[WEEKDAY].data[0] == '*' };
	if (pd_cron_next(ret_cron, 0) == PD_CRON_NEVER)
		return pd_error_set(err, PD_INVALID, "\"%.*s\" is never: no such month has such a day",
				    TEXT_SHOWN, text);
	return 0;
}

/* ---- when ---- */

static bool day_fits(const struct pd_cron *cron, uint64_t day)
{
	time_t seconds = (time_t)(day * 86400);
	bool by_day, by_weekday;
	struct tm parts;

	if (gmtime_r(&seconds, &parts) == NULL || (cron->months >> (parts.tm_mon + 1) & 1) == 0)
		return false;
	by_day = (cron->days >> parts.tm_mday & 1) != 0;
	by_weekday = (cron->weekdays >> parts.tm_wday & 1) != 0;
	return cron->any_day || cron->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The first minute of a day that fits and is not before `from`; DAY_MINUTES: none. */
static unsigned minute_of_day(const struct pd_cron *cron, unsigned from)
{
	for (unsigned minute = from; minute < DAY_MINUTES; minute++)
		if ((cron->hours >> minute / 60 & 1) != 0 && (cron->minutes >> minute % 60 & 1) != 0)
			return minute;
	return DAY_MINUTES;
}

/* The first minute that fits and is not before `first`. */
static uint64_t next_minute(const struct pd_cron *cron, uint64_t first)
{
	unsigned from = (unsigned)(first % DAY_MINUTES);

	for (uint64_t day = first / DAY_MINUTES, end = day + DAYS_AHEAD; day < end; day++, from = 0) {
		unsigned minute = day_fits(cron, day) ? minute_of_day(cron, from) : DAY_MINUTES;

		if (minute < DAY_MINUTES)
			return day * DAY_MINUTES + minute;
	}
	return PD_CRON_NEVER;
}

/* The first second of that minute which fits and begins after the moment; PD_CRON_NEVER: none. */
static uint64_t next_second(const struct pd_cron *cron, uint64_t minute, uint64_t after_us)
{
	for (unsigned second = 0; second < 60; second++) {
		uint64_t us = minute * MINUTE_US + second * SECOND_US;

		if ((cron->seconds >> second & 1) != 0 && us > after_us)
			return us;
	}
	return PD_CRON_NEVER;
}

uint64_t pd_cron_next(const struct pd_cron *cron, uint64_t after_us)
{
	uint64_t minute = next_minute(cron, after_us / MINUTE_US), us;

	if (minute == PD_CRON_NEVER)
		return PD_CRON_NEVER;
	us = next_second(cron, minute, after_us);
	if (us != PD_CRON_NEVER)
		return us;
	minute = next_minute(cron, minute + 1);
	return minute == PD_CRON_NEVER ? PD_CRON_NEVER : next_second(cron, minute, after_us);
}
