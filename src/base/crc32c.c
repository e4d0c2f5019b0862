#include "base/crc32c.h"

#include "base/codec.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

#define POLYNOMIAL 0x82f63b78u /* 0x1EDC6F41, bits reversed */

/* Four bits at a time: slow and small. Only machines without the instruction come here. */
static uint32_t crc_nibble(uint32_t crc)
{
	for (int i = 0; i < 4; i++)
		crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
	return crc;
}

uint32_t pd_crc32c_portable(uint32_t crc, const void *data, size_t size)
{
	const uint8_t *at = data;
	uint32_t table[16];

	for (uint32_t i = 0; i < 16; i++)
		table[i] = crc_nibble(i);
	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= at[i];
		crc = (crc >> 4) ^ table[crc & 15];
		crc = (crc >> 4) ^ table[crc & 15];
	}
	return ~crc;
}

#if defined(__x86_64__)
/* One stream keeps one crc32 instruction in flight, three cycles each: 8 bytes in 3 cycles. */
__attribute__((target("sse4.2"))) static uint32_t crc_one_stream(uint32_t crc, const uint8_t *at, size_t size)
{
	uint64_t wide = crc;

	for (; size >= 8; size -= 8, at += 8)
		wide = _mm_crc32_u64(wide, pd_load_u64(at));
	crc = (uint32_t)wide;
	if (size >= 4) {
		crc = _mm_crc32_u32(crc, pd_load_u32(at));
		at += 4;
		size -= 4;
	}
	for (; size > 0; size--, at++)
		crc = _mm_crc32_u8(crc, *at);
	return crc;
}

/* Three streams keep three instructions in flight. Stream A is followed by 2 * 8n bytes and B by 8n, so A's sum
 * has to be multiplied by x^(128n) and B's by x^(64n) before they are added to C's. A carry-less product of two
 * reflected numbers stands one bit too low, and the crc32 instruction that reduces it multiplies by x^32: hence
 * the 33.
 * Source: V. Gopal, J. Guilford et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction",
 * Intel, 2011. */
#define STREAM_WORDS_MAX  32 /* longer streams would gain little: 2.7 of 3 times at most */
#define THREE_STREAMS_MIN 96 /* bytes; below, joining the streams costs what they gain */

/* shift[n - 1] = x^(64n - 33) modulo the polynomial, reflected */
static const uint32_t shift[2 * STREAM_WORDS_MAX] = {
	0x00000001, 0x493c7d27, 0xf20c0dfe, 0xba4fc28e, 0x3da6d0cb, 0xddc0152b, 0x1c291d04, 0x9e4addf8,
	0x740eef02, 0x39d3b296, 0x083a6eec, 0x0715ce53, 0xc49f4f67, 0x47db8317, 0x2ad91c30, 0x0d3b6092,
	0x6992cea2, 0xc96cfdc0, 0x7e908048, 0x878a92a7, 0x1b3d8f29, 0xdaece73e, 0xf1d0f55e, 0xab7aff2a,
	0xa87ab8a8, 0x2162d385, 0x8462d800, 0x83348832, 0x71d111a8, 0x299847d5, 0xffd852c6, 0xb9e02b86,
	0xdcb17aa4, 0x18b33a4e, 0xf37c5aee, 0xb6dd949b, 0x6051d5a2, 0x78d9ccb7, 0x18b0d4ff, 0xbac2fd7b,
	0x21f3d99c, 0xa60ce07b, 0x8f158014, 0xce7f39f4, 0xa00457f7, 0x61d82e56, 0x8d6d2c43, 0xd270f1a2,
	0x00ac29cf, 0xc619809d, 0xe9adf796, 0x2b3cac5d, 0x96638b34, 0x65863b64, 0xe0e9f351, 0x1b03397f,
	0x9af01f2d, 0xebb883bd, 0x2cff42cf, 0xb3e32c28, 0x88f25a3a, 0x064f7f26, 0x4e36f0b0, 0xdd7e3b0c,
};

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t crc_moved(uint64_t crc, size_t words)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc),
					       _mm_cvtsi64_si128((int64_t)shift[words - 1]), 0);

	return (uint64_t)_mm_cvtsi128_si64(product);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_three_streams(uint32_t crc, const uint8_t *at,
									   size_t size)
{
	while (size >= THREE_STREAMS_MIN) {
		size_t words = size / 24 < STREAM_WORDS_MAX ? size / 24 : STREAM_WORDS_MAX;
		const uint8_t *end = at + 8 * words;
		uint64_t a = crc, b = 0, c = 0;

		for (; at < end; at += 8) {
			a = _mm_crc32_u64(a, pd_load_u64(at));
			b = _mm_crc32_u64(b, pd_load_u64(at + 8 * words));
			c = _mm_crc32_u64(c, pd_load_u64(at + 16 * words));
		}
		crc = (uint32_t)(c ^ _mm_crc32_u64(0, crc_moved(a, 2 * words) ^ crc_moved(b, words)));
		at += 16 * words;
		size -= 24 * words;
	}
	return crc_one_stream(crc, at, size);
}

uint32_t pd_crc32c(uint32_t crc, const void *data, size_t size)
{
	if (!__builtin_cpu_supports("sse4.2"))
		return pd_crc32c_portable(crc, data, size);
	if (size >= THREE_STREAMS_MIN && __builtin_cpu_supports("pclmul"))
		return ~crc_three_streams(~crc, data, size);
	return ~crc_one_stream(~crc, data, size);
}
#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t crc_hardware(uint32_t crc, const uint8_t *at, size_t size)
{
	crc = ~crc;
	for (; size >= 8; size -= 8, at += 8)
		crc = __crc32cd(crc, pd_load_u64(at));
	for (; size > 0; size--, at++)
		crc = __crc32cb(crc, *at);
	return ~crc;
}

uint32_t pd_crc32c(uint32_t crc, const void *data, size_t size)
{
	if (getauxval(AT_HWCAP) & HWCAP_CRC32)
		return crc_hardware(crc, data, size);
	return pd_crc32c_portable(crc, data, size);
}
#else
uint32_t pd_crc32c(uint32_t crc, const void *data, size_t size)
{
	return pd_crc32c_portable(crc, data, size);
}
#endif
