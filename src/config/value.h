/* Values as people write them, and names that they may have meant. Pure. */
#ifndef PD_CONFIG_VALUE_H
#define PD_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* "100k" "64MiB" "4096": units are powers of 1024. false: not one. */
bool pd_parse_size(struct pd_slice text, uint64_t *ret_bytes);
/* "100ms" "2s" "5m" "1h" "7d"; without a unit: milliseconds. */
bool pd_parse_duration_ms(struct pd_slice text, uint64_t *ret_ms);
/* How long between two: seconds without a unit, as people type them. A millisecond to a day. */
bool pd_parse_interval_ms(struct pd_slice text, uint64_t *ret_ms);
/* yes|no|true|false|on|off|1|0, and nothing for no. */
bool pd_parse_switch(struct pd_slice text, bool *ret_on);

#define PD_VALUE_SIZE 32 /* of a formatted one, with its NUL */
/* With the largest unit that leaves a whole number. */
void pd_format_size(uint64_t bytes, char text[PD_VALUE_SIZE]);
void pd_format_duration_ms(uint64_t ms, char text[PD_VALUE_SIZE]);

/* The candidate nearest to `word` in edits (insert, delete, change, swap), or NULL when none is near enough to be what
 * was meant. Candidates end with NULL. */
const char *pd_nearest_name(const char *word, const char *const *candidates);

#endif
