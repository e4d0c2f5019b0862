/* Hashes that are not checksums: XXH3 (libxxhash). */
#ifndef PD_BASE_HASH_H
#define PD_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* For hash tables. The seed is random per process, so that nobody can choose keys that collide. */
uint64_t pd_hash64(struct pd_slice bytes, uint64_t seed);

/* 128 bits, fed in pieces: state hashes and request hashes. Stable across versions and machines. */
struct pd_hash128 {
	uint64_t high, low;
};
struct pd_hasher;
struct pd_hasher *pd_hasher_new(void); /* NULL: out of memory */
void pd_hasher_free(struct pd_hasher *hasher);
/* Forget what was added: a hasher serves for one hash after another. */
void pd_hasher_reset(struct pd_hasher *hasher);
/* How bytes are cut into pieces makes no difference. */
void pd_hasher_add(struct pd_hasher *hasher, const void *data, size_t size);
/* Of everything added so far; more may follow. */
struct pd_hash128 pd_hasher_sum(const struct pd_hasher *hasher);
/* Lower-case hexadecimal, 32 characters and a NUL. */
void pd_hash128_format(struct pd_hash128 hash, char text[33]);

#endif
