/* Append logs as hashes: what their fields are called, and which records there are. */
#ifndef PD_EMBED_APPEND_H
#define PD_EMBED_APPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "embed/embed_private.h"

#define PD_APPEND_FIELD_SIZE 21 /* 20 digits and a NUL: the order of the bytes is that of the numbers */

struct pd_slice pd_append_field(uint64_t sequence, char text[PD_APPEND_FIELD_SIZE]);
/* false: no field of a record. */
bool pd_append_sequence(struct pd_slice field, uint64_t *ret_sequence);
/* Records from *ret_first up to before *ret_next are there. PD_WRONG_TYPE: it is no log. */
int pd_append_bounds(struct pd_call *call, const struct pd_key *key, uint64_t *ret_first, uint64_t *ret_next);

#endif
