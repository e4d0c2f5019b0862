/* One bit that has flipped: which one it was. A checksum that is off by what one bit makes of it names that bit; of other damage, one
 * in 2^32 / (bits that it may be) is off by the same. A second checksum over the same bytes knows no better: a group's and its records' are
 * made with the same polynomial, so that what one of them cannot tell from a flipped bit, the other cannot either, unless the damage
 * reaches over the borders of a record.
 *
 * So what is put right here serves to tell whom damage concerns; it is proven by something else before anybody gets to see it; or the bit
 * is one of few:
 *
 *   up to PD_MEND_BYTES_SURE bytes   two to four wrong bits are never taken for one (CRC32C has a Hamming distance of 6 up to 655
 *                                    bytes), of any other damage at most one in a million (4096 / 2^32)
 *   more                             three wrong bits may be taken for one (a distance of 4), and of 1 MiB one damage in 512 */
#ifndef PD_LOG_MEND_PRIVATE_H
#define PD_LOG_MEND_PRIVATE_H

#include "log/group_private.h"

#define PD_MEND_BYTES_SURE 512u

/* The header as it was before one of its bits flipped, and which. false: more than one did. */
bool pd_group_header_mend(const uint8_t *data, const struct pd_location *location, uint64_t sector,
			  struct pd_group_header *ret_header, unsigned *ret_bit);
/* Put the one bit right that is wrong in what lies behind the group's header, originals in place, and say which it was, counted from the
 * header's end. false: it is not one. */
bool pd_group_body_mend(uint8_t *data, const struct pd_group_header *header, uint64_t *ret_bit);
/* The same for a record of `size` bytes. */
bool pd_record_mend(uint8_t *data, size_t size, uint32_t location, uint64_t lsn);
/* Would this sector be one that is not in use but for one bit? */
bool pd_sector_unused_but_one_bit(const uint8_t *sector, const struct pd_location *location, uint64_t number,
				  const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard);

#endif
