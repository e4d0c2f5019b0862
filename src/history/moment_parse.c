/* Moments as text. */
#include <inttypes.h>

#include "base/codec.h"
#include "engine/engine.h"
#include "engine/snapshot.h"
#include "history/moment.h"

#define SECOND_US   UINT64_C(1000000)
#define PREFIX_SIZE (sizeof "snapshot:" - 1)

/* ---- pieces ---- */

/* Exactly `digits` digits; false: they are not there. */
static bool take_digits(struct pd_slice *rest, unsigned digits, unsigned *ret_number)
{
	unsigned number = 0;

	if (rest->size < digits)
		return false;
	for (unsigned i = 0; i < digits; i++) {
		if (rest->data[i] < '0' || rest->data[i] > '9')
			return false;
		number = number * 10 + (unsigned)(rest->data[i] - '0');
	}
	*rest = pd_slice(rest->data + digits, rest->size - digits);
	*ret_number = number;
	return true;
}

static bool take_one(struct pd_slice *rest, const char *any_of)
{
	if (rest->size == 0 || rest->data[0] == '\0' || strchr(any_of, rest->data[0]) == NULL)
		return false;
	*rest = pd_slice(rest->data + 1, rest->size - 1);
	return true;
}

/* ---- times ---- */

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of(unsigned year, unsigned month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 on, of a year that is not before. */
static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
	uint64_t days = day - 1;

	for (unsigned y = 1970; y < year; y++)
		days += is_leap(y) ? 366 : 365;
	for (unsigned m = 1; m < month; m++)
		days += days_of(year, m);
	return days;
}

/* ".25": as microseconds; what is finer is cut off. */
static bool take_fraction(struct pd_slice *rest, uint64_t *ret_us)
{
	uint64_t unit = SECOND_US / 10, us = 0;
	bool any = false;

	if (!take_one(rest, ".,")) {
		*ret_us = 0;
		return true;
	}
	for (; rest->size > 0 && rest->data[0] >= '0' && rest->data[0] <= '9'; unit /= 10, any = true) {
		us += (uint64_t)(rest->data[0] - '0') * unit;
		*rest = pd_slice(rest->data + 1, rest->size - 1);
	}
	*ret_us = us;
	return any;
}

/* "Z" or "+01:00", in seconds that local time is ahead. */
static bool take_offset(struct pd_slice *rest, int64_t *ret_seconds)
{
	unsigned hours, minutes;
	bool behind;

	*ret_seconds = 0;
	if (take_one(rest, "Zz"))
		return true;
	behind = rest->size > 0 && rest->data[0] == '-';
	if (!take_one(rest, "+-") || !take_digits(rest, 2, &hours) || !take_one(rest, ":") ||
	    !take_digits(rest, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_seconds = (int64_t)(hours * 3600 + minutes * 60) * (behind ? -1 : 1);
	return true;
}

static bool parse_time(struct pd_slice rest, uint64_t *ret_time_us)
{
	unsigned year, month, day, hour, minute, second;
	uint64_t fraction_us;
	int64_t offset, seconds;

	if (!take_digits(&rest, 4, &year) || !take_one(&rest, "-") || !take_digits(&rest, 2, &month) ||
	    !take_one(&rest, "-") || !take_digits(&rest, 2, &day) || !take_one(&rest, "Tt ") ||
	    !take_digits(&rest, 2, &hour) || !take_one(&rest, ":") || !take_digits(&rest, 2, &minute) ||
	    !take_one(&rest, ":") || !take_digits(&rest, 2, &second) || !take_fraction(&rest, &fraction_us) ||
	    !take_offset(&rest, &offset) || rest.size > 0)
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of(year, month) || hour > 23 ||
	    minute > 59 || second > 60) /* 60: a leap second, which our clock does not have */
		return false;
	seconds = (int64_t)(days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) -
		  offset;
	if (seconds < 0)
		return false;
	*ret_time_us = (uint64_t)seconds * SECOND_US + fraction_us;
	return true;
}

/* ---- so long ago ---- */

static uint64_t unit_us(uint8_t letter)
{
	switch (letter) {
	case 'd':
		return 86400 * SECOND_US;
	case 'h':
		return 3600 * SECOND_US;
	case 'm':
		return 60 * SECOND_US;
	case 's':
		return SECOND_US;
	default:
		return 0;
	}
}

/* "-2h30m": each unit once, the larger first. */
static bool parse_ago(struct pd_slice rest, uint64_t *ret_us)
{
	uint64_t total = 0, smaller_than = UINT64_MAX;

	if (!take_one(&rest, "-") || rest.size == 0)
		return false;
	while (rest.size > 0) {
		uint64_t number = 0, unit;
		size_t digits = 0;

		for (; digits < rest.size && rest.data[digits] >= '0' && rest.data[digits] <= '9'; digits++) {
			if (digits == 9)
				return false;
			number = number * 10 + (uint64_t)(rest.data[digits] - '0');
		}
		unit = digits > 0 && digits < rest.size ? unit_us(rest.data[digits]) : 0;
		if (unit == 0 || unit >= smaller_than || number > (UINT64_MAX / 4 - total) / unit)
			return false;
		total += number * unit;
		smaller_than = unit;
		rest = pd_slice(rest.data + digits + 1, rest.size - digits - 1);
	}
	*ret_us = total;
	return true;
}

/* ---- all of them ---- */

static bool parse_lsn(struct pd_slice text, uint64_t *ret_lsn)
{
	int64_t number;

	if (!pd_slice_to_int64(text, &number) || number < 0)
		return false;
	*ret_lsn = (uint64_t)number;
	return true;
}

static bool is_snapshot(struct pd_slice text)
{
	return text.size >= PREFIX_SIZE &&
	       pd_slice_equal_nocase(pd_slice(text.data, PREFIX_SIZE), "snapshot:");
}

int pd_moment_parse(struct pd_slice text, struct pd_moment_name *ret_name, struct pd_error *err)
{
	struct pd_moment_name name = { 0 };
	uint32_t shard;

	if (pd_slice_equal_nocase(text, "now")) {
		name.kind = PD_MOMENT_NOW;
	} else if (is_snapshot(text)) {
		name.kind = PD_MOMENT_SNAPSHOT;
		name.snapshot = pd_slice(text.data + PREFIX_SIZE, text.size - PREFIX_SIZE);
		if (!pd_snapshot_name_is_good(name.snapshot))
			return pd_error_set(err, PD_INVALID,
					    "\"%.*s\" names no snapshot: a name of 1 to %u bytes follows "
					    "the colon, as PD.ACTOR SNAPSHOTS shows it",
					    (int)(text.size < 80 ? text.size : 80), (const char *)text.data,
					    PD_SNAPSHOT_NAME_MAX);
	} else if (parse_ago(text, &name.time_us)) {
		name.kind = PD_MOMENT_AGO;
	} else if (parse_lsn(text, &name.lsn)) {
		name.kind = PD_MOMENT_LSN;
	} else if (pd_bookmark_parse(text, &shard, &name.epoch, &name.lsn) == 0) {
		if (shard != 0)
			return pd_error_set(
				err, PD_INVALID,
				"this bookmark is of shard %" PRIu32 ", and there is only shard 0", shard);
		name.kind = PD_MOMENT_BOOKMARK;
	} else if (parse_time(text, &name.time_us)) {
		name.kind = PD_MOMENT_TIME;
	} else {
		return pd_error_set(err, PD_INVALID,
				    "\"%.*s\" names no moment: say now, a time such as "
				    "2026-01-15T14:30:00Z, -10m, -2h30m or -1d, an LSN, a bookmark, or "
				    "snapshot:NAME",
				    (int)(text.size < 80 ? text.size : 80), (const char *)text.data);
	}
	*ret_name = name;
	return 0;
}
