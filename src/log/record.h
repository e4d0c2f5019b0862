/* Records: what one transaction did, as bytes. docs/format/log.md is the reference.
 *
 *   record    | crc u32 | length u32 | kind u8 | flags u8 | time, tenant, actor, client: varints |
 *             | [extensions: varint size, (tag u8, varint size, bytes)*] | effect* |
 *   effect    | kind u8 | type u8 | key size u16 | value size u32 | [expires_us u64] | key | value |
 *
 * A put effect is, byte for byte, the memtable's entry (store/memtable.h). The checksum covers
 * {cluster id, shard, segment, LSN} and everything after itself; it is set when the group is sealed, because the
 * segment is only known then. */
#ifndef PD_LOG_RECORD_H
#define PD_LOG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "log/level.h"

enum pd_record_kind {
	PD_RECORD_TRANSACTION = 1,
	/* The first of an epoch: without effects, the extension PD_EXTENSION_EPOCH says what there is to say. */
	PD_RECORD_EPOCH = 2,
};

enum pd_effect_kind {
	PD_EFFECT_PUT = 1,
	PD_EFFECT_DELETE = 2,
	PD_EFFECT_DELETE_RANGE = 3, /* key: first, value: end (exclusive; empty: to the last key) */
	PD_EFFECT_ACTOR = 4,        /* value: varints tenant, actor; the effects after it are that actor's */
};
#define PD_EFFECT_HEADER_SIZE 8
#define PD_EFFECT_EXPIRES     0x80

enum pd_extension {
	PD_EXTENSION_PRINCIPAL = 1,   /* who: a user's name */
	PD_EXTENSION_CLIENT = 2,      /* from where: address or the name the client gave itself */
	PD_EXTENSION_REQUEST_ID = 3,  /* the caller's own mark for the request */
	PD_EXTENSION_IDEMPOTENCY = 4, /* the idempotency key */
	PD_EXTENSION_EPOCH = 5,       /* u64 old epoch, u64 its last LSN */
	PD_EXTENSION_KEY_ID = 6,      /* which key encrypted the effects (reserved) */
	PD_EXTENSION_CODEC = 7, /* how the effects are compressed: u8 codec, u32 plain size (reserved) */
};

#define PD_RECORD_SIZE_MIN   14
#define PD_RECORD_SIZE_MAX   (PD_RECORD_VALUES_MAX + 64u * 1024 * 1024)
#define PD_RECORD_VALUES_MAX (512u * 1024 * 1024) /* the largest single value */

/* What stands at the head of a record. */
struct pd_record_head {
	enum pd_record_kind kind;
	enum pd_level level; /* as its writer asked */
	uint64_t time_us;    /* hybrid logical clock: strictly growing along the log */
	uint64_t tenant;
	uint64_t actor;
	uint64_t client; /* number of the connection within the epoch; 0: the server itself */
	struct pd_slice principal, client_text, request_id, idempotency_key; /* size 0: absent */
	uint64_t old_epoch, old_last_lsn;                                    /* PD_RECORD_EPOCH only */
};

/* A record found in the log. Slices point into the reader's memory. */
struct pd_record {
	struct pd_record_head head;
	uint64_t epoch;
	uint64_t lsn;
	struct pd_slice bytes;  /* the whole record */
	struct pd_slice memory; /* the block it lies in, if the reader gives its blocks away; else size 0 */
	struct pd_slice effects;
};

struct pd_effect {
	enum pd_effect_kind kind;
	uint8_t type;
	uint64_t expires_us;    /* 0: never */
	uint64_t tenant, actor; /* whose, as far as the record said by now */
	struct pd_slice key, value;
	const uint8_t *bytes; /* the whole effect: for a put, the memtable entry */
};

/* Take apart the record that begins at `bytes` (its length checked against bytes.size; bytes after it are left
 * alone). time_us comes out as base_time_us plus the record's own. Checks the structure, not the checksum.
 * PD_CORRUPT. */
PD_MUST_CHECK int pd_record_decode(struct pd_slice bytes, uint64_t base_time_us, struct pd_record *ret_record,
				   struct pd_error *err);

/* Walk the effects of a record. */
struct pd_effect_walk {
	struct pd_slice rest;
	uint64_t tenant, actor;
};
void pd_effect_walk_init(struct pd_effect_walk *walk, const struct pd_record *record);
/* 0, PD_END after the last, PD_CORRUPT. */
PD_MUST_CHECK int pd_effect_next(struct pd_effect_walk *walk, struct pd_effect *ret_effect);

/* What the record's checksum must be. `location` is pd_location_crc() of its segment. */
uint32_t pd_record_crc(uint32_t location, uint64_t lsn, struct pd_slice record);

#endif
