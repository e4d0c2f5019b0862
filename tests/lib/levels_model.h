/* What levels must hold, in plain memory: batches are drawn, written to levels and to the model, and both compared. */
#ifndef PD_TESTS_LEVELS_MODEL_H
#define PD_TESTS_LEVELS_MODEL_H

#include "store/levels.h"

struct model_entry {
	uint8_t *key, *value;
	size_t key_size, value_size;
};

/* Sorted by key. */
struct levels_model {
	struct model_entry *entries;
	size_t count, capacity;
};

void model_done(struct levels_model *model);
void model_copy(struct levels_model *to, const struct levels_model *from); /* `to` is empty */
void model_put(struct levels_model *model, struct pd_slice key, struct pd_slice value);
void model_delete_range(struct levels_model *model, struct pd_slice from, struct pd_slice to);
/* NULL: it is not there. */
const struct model_entry *model_get(const struct levels_model *model, struct pd_slice key);

/* Keys are those of 3 actors, `keys` each. */
struct plan_options {
	unsigned keys, points, ranges, deletes_percent;
	size_t value_max;
};

/* A batch, and whatever it is made of. One seed gives one batch. */
struct plan {
	uint64_t seed;
	struct plan_options options;
};

/* The nth key of all, in order; valid until the fourth call from now. */
struct pd_slice plan_key(const struct plan_options *options, unsigned nth);
unsigned plan_key_count(const struct plan_options *options);
void plan_apply(const struct plan *plan, struct levels_model *model);
/* Begin, fill and finish a batch. On an error, none is there. */
int plan_write(const struct plan *plan, struct pd_levels *levels, struct pd_levels_batch **ret_batch,
	       struct pd_error *err);
/* And commit and free it. */
int plan_commit(const struct plan *plan, struct pd_levels *levels, struct pd_log_position applied,
		struct pd_error *err);

/* Whether the levels have what the model has and nothing else: scans of everything and of parts, and each key asked for. Else what
 * is wrong is in `problem`. */
bool levels_equal(struct pd_levels *levels, const struct levels_model *model,
		  const struct plan_options *options, char problem[300]);
/* The same of a view. */
bool view_equal(struct pd_levels_view *view, const struct levels_model *model,
		const struct plan_options *options, char problem[300]);
/* A scan of [from, to) alone. */
bool scan_equal(struct pd_levels_iterator *iterator, const struct levels_model *model, struct pd_slice from,
		struct pd_slice to, char problem[300]);
/* Beyond every key. */
struct pd_slice beyond_all(void);

#endif
