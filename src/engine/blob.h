/* Large strings on their way in and out (what they are: model/txn.h).
 *
 * Out: a reply that has a hole in it comes with a reader, which gives the bytes as the client takes them. What it reads stays
 * until it is freed, though its key is overwritten or deleted meanwhile.
 *
 * In: a stage takes an argument as it arrives and writes it as chunks, a transaction for each piece; then the request that is
 * complete writes the head alone. Chunks that no head comes to name are removed, also after a crash: a note in the log tells of
 * them from the first one on.
 *
 * Threads: the engine's. */
#ifndef PD_ENGINE_BLOB_H
#define PD_ENGINE_BLOB_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "log/level.h"

struct pd_engine;
struct pd_receipt;
struct pd_session;

/* ---- out ---- */
/* The source of a struct pd_resp_hole. Outside of pd_engine_execute(). */
struct pd_blob_reader;
/* Append the next bytes, at most `most` of them, to the buffer. 1: more follow; 0: that was all. PD_CORRUPT, PD_IO, PD_LOST
 * (its actor was dropped), PD_NO_MEMORY, PD_TOO_LARGE (of the buffer): the bytes cannot be had, now. */
PD_MUST_CHECK int pd_blob_read(struct pd_blob_reader *reader, size_t most, struct pd_buffer *into,
			       struct pd_error *err);
/* Before the engine is closed. NULL is fine. */
void pd_blob_reader_free(struct pd_blob_reader *reader);

/* ---- in ---- */
struct pd_stage;
/* From which size on an argument is worth it, and what it is given in multiples of. */
uint64_t pd_stage_least(const struct pd_engine *engine);
uint64_t pd_stage_piece(const struct pd_engine *engine);
/* NULL: no memory. The session outlives it. */
struct pd_stage *pd_stage_new(struct pd_engine *engine, struct pd_session *session);
/* The next bytes of the argument, a multiple of pd_stage_piece(), of a command on `key`. *ret_receipt is what
 * writing them got. On an error they were not taken:
 *   PD_AGAIN   give them again after ret_receipt->retry_us, with steps meanwhile
 *   PD_LOST    the actor was dropped meanwhile
 *   others     as pd_engine_execute() has them */
PD_MUST_CHECK int pd_stage_add(struct pd_stage *stage, struct pd_slice key, struct pd_slice bytes,
			       struct pd_receipt *ret_receipt, struct pd_error *err);
/* If no request has taken it, what it wrote is removed in the time to come. NULL is fine. */
void pd_stage_free(struct pd_stage *stage);

#endif
