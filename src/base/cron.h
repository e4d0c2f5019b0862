/* When work is due, as crontab(5) writes it: minute, hour, day of the month, month, day of the week; in UTC; seconds before them, if need be. Pure.
 *
 *     0 3 * * 0       at 03:00 on Sundays          0,30 8-18/2 * * mon-fri
 *     0,30 * * * * *  six fields: seconds come first, here twice a minute
 *     @daily          at 00:00; @hourly, @weekly (Sundays), @monthly, @yearly, @annually, @midnight
 *
 * As there: where day of the month and day of the week are both given (neither begins with a star), either will do; else both have to fit.
 * Source: Vixie cron's crontab(5), as Debian has it. */
#ifndef PD_BASE_CRON_H
#define PD_BASE_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A bit for each value that fits. */
struct pd_cron {
	uint64_t seconds; /* of a minute that fits */
	uint64_t minutes;
	uint32_t hours, days; /* days from bit 1 on */
	uint16_t months;      /* from bit 1 on */
	uint8_t weekdays;     /* bit 0: Sunday */
	bool any_day, any_weekday;
};

#define PD_CRON_NEVER UINT64_MAX

/* PD_INVALID: it is none, or no day is ever so (30 February); the text says what would do. */
PD_MUST_CHECK int pd_cron_parse(const char *text, struct pd_cron *ret_cron, struct pd_error *err);
/* The first second that fits and begins after a moment, in microseconds since 1970. PD_CRON_NEVER: none of the next 40 years. */
uint64_t pd_cron_next(const struct pd_cron *cron, uint64_t after_us);

#endif
