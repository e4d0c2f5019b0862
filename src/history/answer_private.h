/* What the files of the answers share. */
#ifndef PD_HISTORY_ANSWER_PRIVATE_H
#define PD_HISTORY_ANSWER_PRIVATE_H

#include "history/answer.h"
#include "history/client.h"
#include "history/past.h"
#include "history/snapshot.h"
#include "log/record.h"
#include "model/relation/relation.h"

#define PD_HISTORY_PAGE_BYTES ((size_t)1024 * 1024) /* an answer ends when it has grown to this */
#define PD_HISTORY_PREVIEW    128u                  /* of a value */

/* A key as the store has it, taken apart. */
struct pd_history_place {
	bool shown;   /* it is somebody's key or field */
	bool field;   /* of a hash */
	bool related; /* it is a relation to another actor, and no key */
	struct pd_slice name, field_name;
	struct pd_relation relation;
};
struct pd_history_place pd_history_take_apart(struct pd_slice key);

/* ---- answer_record.c ---- */
/* What of it is told. */
struct pd_history_telling {
	uint64_t actor;
	struct pd_slice key; /* size 0: all that was done; else what was done to that key and its fields */
	bool whole; /* all operations with all of their values, and how large strings are kept: so that it can be done again */
};
/* What a record did to an actor, as a map of its own. */
PD_MUST_CHECK int pd_history_write_record(struct pd_resp_writer *reply, struct pd_history_clients *clients,
					  const struct pd_record *record, size_t segment,
					  const struct pd_history_telling *telling, struct pd_error *err);
/* Is there anything to be told? */
bool pd_history_record_tells(const struct pd_record *record, const struct pd_history_telling *telling);
/* The actor that this record replaces by that one; 0: it replaces none. */
uint64_t pd_history_replaced_by(const struct pd_record *record, uint64_t actor);
void pd_history_write_damage(struct pd_resp_writer *reply, const struct pd_log_damage *damage);
const char *pd_history_type_name(uint8_t type);
/* Three fields of a map: which relation it is. */
void pd_history_write_relation(struct pd_resp_writer *reply, const struct pd_relation *relation);

/* ---- answer_value.c: DIFF and GET ---- */
PD_MUST_CHECK int pd_history_answer_diff(struct pd_history *history,
					 const struct pd_history_question *question, uint64_t was,
					 uint64_t actor, const struct pd_found_moment *from,
					 const struct pd_found_moment *to, struct pd_resp_writer *reply,
					 struct pd_error *err);
PD_MUST_CHECK int pd_history_answer_get(struct pd_history *history,
					const struct pd_history_question *question, uint64_t actor,
					const struct pd_moment *at, struct pd_resp_writer *reply,
					struct pd_error *err);

/* ---- answer.c ---- */
/* The map around the entries of a page. */
void pd_history_write_page(struct pd_resp_writer *reply, const char *cursor, const struct pd_moment *from,
			   const struct pd_moment *to, size_t count, const struct pd_buffer *entries);

#endif
