/* What the files of the repair share: file_repair.c puts the bytes of one segment right in memory, file_repair_doubt.c keeps what
 * somebody has to decide, file_repair_index.c makes a segment's index again, file_repair_files.c reads and replaces files. */
#ifndef PD_LOG_FILE_REPAIR_PRIVATE_H
#define PD_LOG_FILE_REPAIR_PRIVATE_H

#include "base/buffer.h"
#include "log/group_private.h"
#include "log/repair.h"

/* A segment's file in memory. */
struct pd_bytes {
	uint8_t *data; /* NULL: it is not there */
	size_t capacity;
	uint64_t size, sectors;
};

/* Damage, as the verifier saw it before anything was done; its actors are its own. */
struct pd_seen_damage {
	struct pd_log_sight sight;
	uint64_t *actors;
};

struct pd_mender {
	const struct pd_log_repair_options *options;
	struct pd_log_repair *repair;
	struct pd_seen_damage *seen;
	size_t seen_count, seen_capacity;
	struct pd_location location;
	struct pd_bytes local, copy;
	struct pd_buffer scratch; /* a group that is open */
	uint64_t torn_sector;     /* where an unfinished write begins; UINT64_MAX: there is none */
	bool changed;
	/* The group before: its header_crc. */
	uint32_t chain;
	bool chain_known;
	/* The segment's last group: its header_crc, as the next segment's head says. */
	uint32_t behind;
	bool behind_known;
	/* Up to here the copy's groups were followed, to one that is named here or not. */
	uint64_t followed_sector;
	bool named;
	uint64_t healed_sector; /* what was put back ends here */
};

/* ---- file_repair.c ---- */
PD_MUST_CHECK int pd_repair_note(struct pd_mender *mender, enum pd_log_repair_kind kind, uint64_t sector,
				 uint64_t sectors, uint64_t first_lsn, uint64_t records, const char *format,
				 ...) __attribute__((format(printf, 7, 8)));
/* Put right what can be, in `local`, which must have room for all of the copy. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repair_mend_segment(struct pd_mender *mender);
/* The header of the group at this place, if it holds. */
bool pd_repair_header_here(const struct pd_mender *mender, uint64_t sector,
			   struct pd_group_header *ret_header);
/* 1: the group is whole as it lies there, and open in the scratch memory; 0: it is not. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repair_open_group(struct pd_mender *mender, uint64_t sector,
				       const struct pd_group_header *header);
/* Have a group with this payload open in the scratch memory. 1: it is the one that the header means; 0: it is not. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repair_fill_group(struct pd_mender *mender, const struct pd_group_header *header,
				       const uint8_t *payload);
/* What the segment's head says, or would say if it were healed. false: it cannot be. */
bool pd_repair_head(const struct pd_mender *mender, struct pd_group_header *ret_head);
/* The copy's header at the front. */
bool pd_repair_copy_head(const struct pd_mender *mender, struct pd_group_header *ret_head);
/* 1: the copy's file is whole, and *ret_last_crc is the checksum that the next segment's head must name; 0: it is not. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repair_copy_is_whole(struct pd_mender *mender, uint32_t *ret_last_crc);
int pd_repair_out_of_memory(struct pd_error *err);

/* ---- file_repair_index.c ---- */
/* Have the footer at this place open in the scratch memory, with the index that the groups before it make. 1: it is the one that its header
 * means; 0: they do not tell all of it. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repair_make_index(struct pd_mender *mender, uint64_t sector,
				       const struct pd_group_header *footer);

/* ---- file_repair_doubt.c ---- */
/* Keep a PD_SIGHT_DAMAGE. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repair_see(struct pd_mender *mender, const struct pd_log_sight *sight);
void pd_repair_forget_seen(struct pd_mender *mender);
/* The damage in these sectors looks like one of `bits` that has flipped. 1: noted; 0: the verifier takes nothing there for damage, and it is
 * better left alone. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_repair_doubt(struct pd_mender *mender, uint64_t sector, uint64_t sectors, uint64_t bits);

#endif
