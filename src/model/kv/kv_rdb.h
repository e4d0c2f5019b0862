/* Values in the form of Redis's RDB files, as DUMP gives them and RESTORE takes them: strings and hashes.
 *
 *   u8 type | value | u16 version of the format | u64 CRC-64 (Jones) of all before it       little-endian
 *
 * Written in the plainest form; read in every form that Redis from 2.6 to 7.x writes. Pure: bytes in, bytes out.
 * Source: rdb.c, listpack.c and ziplist.c of Redis 7.0. */
#ifndef PD_MODEL_KV_KV_RDB_H
#define PD_MODEL_KV_KV_RDB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

#define PD_KV_RDB_STRING 0
#define PD_KV_RDB_HASH   4

/* ---- writing: PD_NO_MEMORY, PD_TOO_LARGE ---- */
PD_MUST_CHECK int pd_kv_rdb_put_length(struct pd_buffer *payload, uint64_t length);
PD_MUST_CHECK int pd_kv_rdb_put_string(struct pd_buffer *payload, struct pd_slice string);
/* Version and checksum behind what is there. */
PD_MUST_CHECK int pd_kv_rdb_seal(struct pd_buffer *payload);

/* ---- reading ---- */
/* Is it whole, and of a version that is known? */
bool pd_kv_rdb_check(struct pd_slice payload);

enum pd_kv_rdb_form {
	PD_KV_RDB_FORM_STRINGS,  /* one string after another */
	PD_KV_RDB_FORM_LISTPACK, /* elements in one string */
	PD_KV_RDB_FORM_ZIPLIST,  /* the same, before Redis 7 */
};

/* A value being read. What it gives is valid until it is asked for the next thing, or is done. */
struct pd_kv_rdb {
	struct pd_slice rest; /* not read yet: of the payload, or of the packed string */
	enum pd_kv_rdb_form form;
	bool is_hash;
	uint64_t left;           /* strings that are still to come; UINT64_MAX: up to the mark of its end */
	struct pd_buffer packed; /* a packed string that had been compressed */
	struct pd_buffer string; /* an element that is not in the payload as it is */
	int failed; /* PD_CORRUPT: it makes no sense; PD_NOT_SUPPORTED: another type; PD_NO_MEMORY */
};

/* Begin to read a payload that has been checked. What is compressed in it may come to `most` bytes a string, else PD_NO_MEMORY. false:
 * failed says why. */
bool pd_kv_rdb_begin(struct pd_kv_rdb *rdb, struct pd_slice payload, uint64_t most);
/* The next string: of a hash, field and value by turns. false: there is none, or it failed. */
bool pd_kv_rdb_next(struct pd_kv_rdb *rdb, struct pd_slice *ret_string);
void pd_kv_rdb_done(struct pd_kv_rdb *rdb);

#endif
