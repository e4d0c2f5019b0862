/* One bit that has flipped: which one it was. A checksum that is off by what one bit makes of it names that bit, and any
 * damage of more bits looks like that only by chance (bits that are covered / 2^32). So what is put right here is proven by
 * something else as well before anybody gets to see it, or serves to tell whom damage concerns. */
#ifndef PD_LOG_MEND_PRIVATE_H
#define PD_LOG_MEND_PRIVATE_H

#include "log/group_private.h"

/* The header as it was before one of its bits flipped, and which. false: more than one did. */
bool pd_group_header_mend(const uint8_t *data, const struct pd_location *location, uint64_t sector,
			  struct pd_group_header *ret_header, unsigned *ret_bit);
/* Put the one bit right that is wrong in what lies behind the group's header, originals in place. false: it is not one. */
bool pd_group_body_mend(uint8_t *data, const struct pd_group_header *header);
/* The same for a record of `size` bytes. */
bool pd_record_mend(uint8_t *data, size_t size, uint32_t location, uint64_t lsn);
/* Would this sector be one that is not in use but for one bit? */
bool pd_sector_unused_but_one_bit(const uint8_t *sector, const struct pd_location *location, uint64_t number,
				  const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard);

#endif
