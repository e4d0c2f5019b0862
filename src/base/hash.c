#include "base/hash.h"

#include <stdio.h>
#include <xxhash.h>

#include "base/memory.h"

struct pd_hasher {
	XXH3_state_t *state;
};

uint64_t pd_hash64(struct pd_slice bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

struct pd_hasher *pd_hasher_new(void)
{
	struct pd_hasher *hasher = pd_malloc(sizeof *hasher);

	if (hasher == NULL)
		return NULL;
	hasher->state = XXH3_createState();
	if (hasher->state == NULL) {
		pd_free(hasher);
		return NULL;
	}
	pd_hasher_reset(hasher);
	return hasher;
}

void pd_hasher_free(struct pd_hasher *hasher)
{
	if (hasher == NULL)
		return;
	(void)XXH3_freeState(hasher->state);
	pd_free(hasher);
}

void pd_hasher_reset(struct pd_hasher *hasher)
{
	(void)XXH3_128bits_reset(hasher->state);
}

void pd_hasher_add(struct pd_hasher *hasher, const void *data, size_t size)
{
	(void)XXH3_128bits_update(hasher->state, data, size);
}

struct pd_hash128 pd_hasher_sum(const struct pd_hasher *hasher)
{
	XXH128_hash_t sum = XXH3_128bits_digest(hasher->state);

	return (struct pd_hash128){ .high = sum.high64, .low = sum.low64 };
}

void pd_hash128_format(struct pd_hash128 hash, char text[33])
{
	(void)snprintf(text, 33, "%016llx%016llx", (unsigned long long)hash.high,
		       (unsigned long long)hash.low);
}
