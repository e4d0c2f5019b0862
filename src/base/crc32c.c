#include "base/crc32c.h"

#include "base/codec.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
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
/* One stream keeps one crc32 instruction in flight, three cycles each: about 8 bytes in 3 cycles. Log records
 * are short, so the three-stream method with a carry-less multiply to join them is left out. */
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const uint8_t *at, size_t size)
{
	uint64_t wide = (uint32_t)~crc;

	for (; size >= 8; size -= 8, at += 8)
		wide = _mm_crc32_u64(wide, pd_load_u64(at));
	crc = (uint32_t)wide;
	for (; size > 0; size--, at++)
		crc = _mm_crc32_u8(crc, *at);
	return ~crc;
}

uint32_t pd_crc32c(uint32_t crc, const void *data, size_t size)
{
	if (__builtin_cpu_supports("sse4.2"))
		return crc_hardware(crc, data, size);
	return pd_crc32c_portable(crc, data, size);
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
