/* Moments as text: RFC 3339, in UTC. */
#ifndef PD_BASE_TIMESTAMP_H
#define PD_BASE_TIMESTAMP_H

#include <stdint.h>

#define PD_TIMESTAMP_SIZE 40

/* "2026-11-20T17:12:18.123456Z" of microseconds since 1970, with so many digits behind the second (0 to 6, the rest is cut
 * off), ended by a NUL. Empty if there is no such year. */
void pd_timestamp_format(uint64_t time_us, unsigned digits, char ret_text[PD_TIMESTAMP_SIZE]);

#endif
