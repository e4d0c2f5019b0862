/* Relations between actors: what one is, and how it is kept.
 *
 * A relation goes from one actor to another of the same tenant, is of a kind, and may say something. It has two sides: an entry in the
 * actor that it comes from (out) and one in the actor that it goes to (in), both put and deleted by the same transactions. So each actor
 * knows both directions by itself, and the one side can be made again of the other:
 *
 *     'r'                             -> varint how many come from this actor, varint how many go to it; not there: none
 *     'r' 'i' kind 0 name of the other   -> what it says
 *     'r' 'o' kind 0 name of the other   -> what it says
 *
 * The other is known by its name: an actor that is restored has another id, and is still the same to those that it is related to. */
#ifndef PD_MODEL_RELATION_RELATION_H
#define PD_MODEL_RELATION_RELATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/command.h"
#include "model/txn.h"

extern const struct pd_command pd_relation_commands[];
extern const size_t pd_relation_command_count;

#define PD_RELATION_KIND_MAX 64u
#define PD_RELATION_NAME_MAX 256u /* the engine's PD_NAME_SIZE_MAX */
#define PD_RELATION_DATA_MAX 256u
#define PD_RELATIONS_MAX \
	4096u /* of one actor, both sides together: so much a drop takes with it, in one record */
#define PD_RELATION_PREFIX_MAX (2u + PD_RELATION_KIND_MAX)
#define PD_RELATION_KEY_MAX    (1u + PD_RELATION_PREFIX_MAX + PD_RELATION_NAME_MAX)
#define PD_RELATION_COUNT_MAX  20u
#define PD_RELATION_KIND       "related" /* of one that is given none */

enum pd_relation_side {
	PD_RELATION_IN = 'i', /* from the other to this actor */
	PD_RELATION_OUT = 'o',
};

/* One side of a relation. */
struct pd_relation {
	enum pd_relation_side side;
	struct pd_slice kind, other;
};
/* The same, as the other actor has it; `name`: of the first. */
struct pd_relation pd_relation_mirror(const struct pd_relation *relation, struct pd_slice name);
const char *pd_relation_side_name(enum pd_relation_side side); /* "out" */

/* 1 to 64 bytes, none of them a space, a control character, or one of { } / */
bool pd_relation_kind_is_good(struct pd_slice kind);

/* Kind and name are good ones. */
struct pd_slice pd_relation_key(const struct pd_relation *relation, uint8_t key[PD_RELATION_KEY_MAX]);
/* What the keys of all relations of that side begin with, behind the space; of one kind, if it has a size. */
struct pd_slice pd_relation_prefix(enum pd_relation_side side, struct pd_slice kind,
				   uint8_t prefix[PD_RELATION_PREFIX_MAX]);
/* The slices are of the key. false: it is none of a relation's. */
bool pd_relation_read_key(struct pd_slice key, struct pd_relation *ret_relation);

struct pd_relation_count {
	uint64_t out, in;
};
struct pd_slice pd_relation_count_write(const struct pd_relation_count *count,
					uint8_t value[PD_RELATION_COUNT_MAX]);
/* false: it makes no sense. */
bool pd_relation_count_read(struct pd_slice value, struct pd_relation_count *ret_count);

#endif
