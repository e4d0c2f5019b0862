/* Numbers in bytes: little-endian fixed width, and LEB128 varints. No alignment is needed. */
#ifndef PD_BASE_CODEC_H
#define PD_BASE_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the on-disk format is little-endian; big-endian "
							  "machines need byte swaps here");

#define PD_CODEC_FIXED(bits)                                                 \
	static inline uint##bits##_t pd_load_u##bits(const void *from)       \
	{                                                                    \
		uint##bits##_t number;                                       \
		memcpy(&number, from, sizeof number);                        \
		return number;                                               \
	}                                                                    \
	static inline void pd_store_u##bits(void *to, uint##bits##_t number) \
	{                                                                    \
		memcpy(to, &number, sizeof number);                          \
	}
PD_CODEC_FIXED(16)
PD_CODEC_FIXED(32)
PD_CODEC_FIXED(64)
#undef PD_CODEC_FIXED

/* Big-endian, so that memcmp() orders as the numbers do. */
static inline void pd_store_be64(void *to, uint64_t number)
{
	number = __builtin_bswap64(number);
	memcpy(to, &number, sizeof number);
}
static inline uint64_t pd_load_be64(const void *from)
{
	return __builtin_bswap64(pd_load_u64(from));
}
static inline void pd_store_be32(void *to, uint32_t number)
{
	number = __builtin_bswap32(number);
	memcpy(to, &number, sizeof number);
}
static inline uint32_t pd_load_be32(const void *from)
{
	return __builtin_bswap32(pd_load_u32(from));
}

#define PD_VARINT_MAX 10 /* bytes that a 64-bit number can take */

/* Write number at `to`, which has room for PD_VARINT_MAX bytes. Returns the bytes written. */
static inline size_t pd_varint_put(uint8_t *to, uint64_t number)
{
	size_t size = 0;

	while (number >= 0x80) {
		to[size++] = (uint8_t)(number | 0x80);
		number >>= 7;
	}
	to[size++] = (uint8_t)number;
	return size;
}

static inline size_t pd_varint_size(uint64_t number)
{
	size_t size = 1;

	while (number >= 0x80) {
		number >>= 7;
		size++;
	}
	return size;
}

/* Read a number of at most `size` bytes. Returns the bytes read, 0 when they are cut short, too long or not
 * the shortest form (one number has one encoding). */
static inline size_t pd_varint_get(const uint8_t *from, size_t size, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size && i < PD_VARINT_MAX; i++) {
		uint64_t bits = from[i] & 0x7f;

		if (i == PD_VARINT_MAX - 1 && bits > 1)
			return 0;
		number |= bits << (7 * i);
		if ((from[i] & 0x80) == 0) {
			if (i > 0 && bits == 0)
				return 0;
			*ret_number = number;
			return i + 1;
		}
	}
	return 0;
}

/* The same from the front of `rest`, which loses it; false: there is none. */
static inline bool pd_varint_take(struct pd_slice *rest, uint64_t *ret_number)
{
	size_t size = pd_varint_get(rest->data, rest->size, ret_number);

	rest->data += size;
	rest->size -= size;
	return size != 0;
}

#endif
