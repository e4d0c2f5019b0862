/* CRC32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4), in hardware where there is
 * SSE 4.2 or ARMv8 CRC, else by table. */
#ifndef PD_BASE_CRC32C_H
#define PD_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what `crc` covers followed by the `size` bytes at `data`. Begin with crc 0.
 * pd_crc32c(0, "123456789", 9) == 0xE3069283. Any thread. */
uint32_t pd_crc32c(uint32_t crc, const void *data, size_t size);

/* The same by table, whatever the machine can do: for tests. */
uint32_t pd_crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
