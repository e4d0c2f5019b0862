#include "lib/levels_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"

enum { ACTORS = 3 };

static uint64_t mix(uint64_t number)
{
	number += 0x9e3779b97f4a7c15U;
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9U;
	number = (number ^ (number >> 27)) * 0x94d049bb133111ebU;
	return number ^ (number >> 31);
}

static struct pd_slice key_of(const struct model_entry *entry)
{
	return pd_slice(entry->key, entry->key_size);
}

static uint8_t *copy_of(struct pd_slice slice)
{
	uint8_t *copy = malloc(slice.size + 1);

	if (slice.size > 0)
		memcpy(copy, slice.data, slice.size);
	return copy;
}

struct pd_slice beyond_all(void)
{
	return pd_slice("\xff\xff\xff\xff\xff\xff\xff\x00", 8); /* PD_LEVELS_DERIVED */
}

/* ---- the model ---- */

void model_done(struct levels_model *model)
{
	for (size_t i = 0; i < model->count; i++) {
		free(model->entries[i].key);
		free(model->entries[i].value);
	}
	free(model->entries);
	*model = (struct levels_model){ 0 };
}

/* The first entry whose key is not below. */
static size_t model_find(const struct levels_model *model, struct pd_slice key)
{
	size_t low = 0, high = model->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pd_slice_compare(key_of(&model->entries[middle]), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void model_remove(struct levels_model *model, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		free(model->entries[i].key);
		free(model->entries[i].value);
	}
	if (to > from)
		memmove(model->entries + from, model->entries + to,
			(model->count - to) * sizeof *model->entries);
	model->count -= to - from;
}

const struct model_entry *model_get(const struct levels_model *model, struct pd_slice key)
{
	size_t at = model_find(model, key);

	return at < model->count && pd_slice_equal(key_of(&model->entries[at]), key) ? &model->entries[at]
										     : NULL;
}

void model_delete_range(struct levels_model *model, struct pd_slice from, struct pd_slice to)
{
	model_remove(model, model_find(model, from), model_find(model, to));
}

void model_put(struct levels_model *model, struct pd_slice key, struct pd_slice value)
{
	size_t at = model_find(model, key);

	if (at < model->count && pd_slice_equal(key_of(&model->entries[at]), key))
		model_remove(model, at, at + 1);
	if (model->count == model->capacity) {
		model->capacity = model->capacity > 0 ? 2 * model->capacity : 64;
		model->entries = realloc(model->entries, model->capacity * sizeof *model->entries);
	}
	memmove(model->entries + at + 1, model->entries + at, (model->count - at) * sizeof *model->entries);
	model->count++;
	model->entries[at] = (struct model_entry){
		.key = copy_of(key), .key_size = key.size, .value = copy_of(value), .value_size = value.size
	};
}

void model_copy(struct levels_model *to, const struct levels_model *from)
{
	*to = (struct levels_model){ 0 };
	to->capacity = from->count > 0 ? from->count : 1;
	to->entries = malloc(to->capacity * sizeof *to->entries);
	for (size_t i = 0; i < from->count; i++) {
		const struct model_entry *entry = &from->entries[i];

		to->entries[i] = *entry;
		to->entries[i].key = copy_of(key_of(entry));
		to->entries[i].value = copy_of(pd_slice(entry->value, entry->value_size));
	}
	to->count = from->count;
}

/* ---- batches ---- */

unsigned plan_key_count(const struct plan_options *options)
{
	return ACTORS * options->keys;
}

struct pd_slice plan_key(const struct plan_options *options, unsigned nth)
{
	static uint8_t keys[4][16];
	static unsigned turn;
	uint8_t *key = keys[turn++ % 4];

	/* Some are prefixes of the next. */
	pd_store_be64(key, 1 + nth / options->keys);
	pd_store_be64(key + 8, (nth % options->keys / 2) << 16);
	key[14] = 1;
	return pd_slice(key, 14 + nth % options->keys % 2);
}

/* The nth point of a plan: its key's number, and whether it is a delete. Ascending. */
struct point {
	unsigned key;
	bool is_delete;
	uint64_t roll;
};

static unsigned points_of(const struct plan *plan, struct point *points)
{
	unsigned all = plan_key_count(&plan->options), count = 0;

	for (unsigned key = 0; key < all; key++) {
		uint64_t roll = mix(plan->seed * 1000003 + key);

		if (roll % all >= plan->options.points)
			continue;
		points[count++] = (struct point){ .key = key,
						  .is_delete = (roll >> 32) % 100 <
							       plan->options.deletes_percent,
						  .roll = roll };
	}
	return count;
}

static struct pd_slice value_of(const struct plan *plan, const struct point *point, uint8_t *bytes)
{
	size_t size = plan->options.value_max > 0 ? (point->roll >> 20) % (plan->options.value_max + 1) : 0;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(mix(point->roll + i / 8) >> i % 8 * 8); /* nothing to compress */
	return pd_slice(bytes, size);
}

/* Where a range begins and ends: numbers of keys; short ones mostly, sometimes of a whole actor. */
static void range_of(const struct plan *plan, unsigned nth, unsigned *ret_from, unsigned *ret_to)
{
	unsigned all = plan_key_count(&plan->options);
	uint64_t roll = mix(plan->seed * 7919 + 1000000007ULL * (nth + 1));
	unsigned length = 1 + (unsigned)(roll >> 40) % (plan->options.keys / 4 + 1);

	*ret_from = (unsigned)(roll % all);
	if ((roll >> 32) % 8 == 0) {
		*ret_from -= *ret_from % plan->options.keys;
		length = plan->options.keys;
	}
	*ret_to = *ret_from + length < all ? *ret_from + length : all - 1;
	if (*ret_to <= *ret_from)
		*ret_from = *ret_to - 1;
}

void plan_apply(const struct plan *plan, struct levels_model *model)
{
	struct point *points = malloc(plan_key_count(&plan->options) * sizeof *points);
	uint8_t *bytes = malloc(plan->options.value_max + 1);
	unsigned count = points_of(plan, points), from, to;

	for (unsigned i = 0; i < plan->options.ranges; i++) {
		range_of(plan, i, &from, &to);
		model_delete_range(model, plan_key(&plan->options, from), plan_key(&plan->options, to));
	}
	for (unsigned i = 0; i < count; i++) {
		struct pd_slice key = plan_key(&plan->options, points[i].key);

		if (points[i].is_delete)
			model_remove(model, model_find(model, key),
				     model_find(model, key) + (model_get(model, key) != NULL));
		else
			model_put(model, key, value_of(plan, &points[i], bytes));
	}
	free(points);
	free(bytes);
}

static int fill(const struct plan *plan, struct pd_levels_batch *batch, struct pd_error *err)
{
	struct point *points = malloc(plan_key_count(&plan->options) * sizeof *points);
	uint8_t *bytes = malloc(plan->options.value_max + 1);
	unsigned count = points_of(plan, points), ranges = 0, from, to;
	int rc = 0;

	for (unsigned i = 0; i <= count && rc == 0; i++) {
		/* Ranges come anywhere between. */
		while (rc == 0 && ranges < plan->options.ranges &&
		       (i == count || mix(plan->seed + ranges * 31) % (count + 1) <= i)) {
			range_of(plan, ranges++, &from, &to);
			rc = pd_levels_batch_delete_range(batch, plan_key(&plan->options, from),
							  plan_key(&plan->options, to), err);
		}
		if (i == count || rc != 0)
			break;
		if (points[i].is_delete)
			rc = pd_levels_batch_delete(batch, plan_key(&plan->options, points[i].key), err);
		else
			rc = pd_levels_batch_put(batch, plan_key(&plan->options, points[i].key),
						 value_of(plan, &points[i], bytes), err);
	}
	free(points);
	free(bytes);
	return rc;
}

int plan_write(const struct plan *plan, struct pd_levels *levels, struct pd_levels_batch **ret_batch,
	       struct pd_error *err)
{
	struct pd_levels_batch *batch;
	int rc = pd_levels_batch_new(levels, &batch, err);

	if (rc != 0)
		return rc;
	rc = fill(plan, batch, err);
	if (rc == 0)
		rc = pd_levels_batch_finish(batch, err);
	if (rc == 0)
		*ret_batch = batch;
	else
		pd_levels_batch_free(batch);
	return rc;
}

int plan_commit(const struct plan *plan, struct pd_levels *levels, struct pd_log_position applied,
		struct pd_error *err)
{
	struct pd_levels_batch *batch;
	int rc = plan_write(plan, levels, &batch, err);

	if (rc != 0)
		return rc;
	rc = pd_levels_batch_commit(batch, applied, err);
	pd_levels_batch_free(batch);
	return rc;
}

/* ---- comparing ---- */

static bool wrong(char problem[300], const char *what, struct pd_slice key, const char *more)
{
	char text[64] = "";

	for (size_t i = 0; i < key.size && i < 20; i++)
		(void)snprintf(text + 2 * i, sizeof text - 2 * i, "%02x", key.data[i]);
	(void)snprintf(problem, 300, "%s, key %s: %.180s", what, text, more);
	return false;
}

bool scan_equal(struct pd_levels_iterator *iterator, const struct levels_model *model, struct pd_slice from,
		struct pd_slice to, char problem[300])
{
	struct pd_error err = { 0 };
	struct pd_slice key, value;
	size_t at = model_find(model, from), end = model_find(model, to);
	int rc = pd_levels_seek(iterator, from, to, &err);

	if (rc != 0)
		return wrong(problem, "seek fails", from, err.text);
	for (;; at++) {
		rc = pd_levels_next(iterator, &key, &value, &err);
		if (rc < 0)
			return wrong(problem, "next fails", from, err.text);
		if (rc == 0)
			break;
		if (at >= end || !pd_slice_equal(key, key_of(&model->entries[at])))
			return wrong(problem, "a scan finds what is not there", key, "");
		if (!pd_slice_equal(value, pd_slice(model->entries[at].value, model->entries[at].value_size)))
			return wrong(problem, "a scan finds another value", key, "");
	}
	if (at < end)
		return wrong(problem, "a scan misses", key_of(&model->entries[at]), "");
	return true;
}

/* `view` NULL: of the newest state. */
static bool get_equal(struct pd_levels *levels, struct pd_levels_view *view, const struct levels_model *model,
		      struct pd_slice key, char problem[300])
{
	const struct model_entry *entry = model_get(model, key);
	struct pd_levels_value value;
	struct pd_error err = { 0 };
	int rc = view != NULL ? pd_levels_view_get(view, key, &value, &err)
			      : pd_levels_get(levels, key, &value, &err);
	bool same;

	if (rc < 0)
		return wrong(problem, "get fails", key, err.text);
	if (rc != (entry != NULL))
		return wrong(problem, rc == 1 ? "get finds what is gone" : "get misses", key, "");
	if (rc == 0)
		return true;
	same = pd_slice_equal(value.slice, pd_slice(entry->value, entry->value_size));
	pd_levels_value_done(levels, &value);
	return same || wrong(problem, "get finds another value", key, "");
}

static bool all_equal(struct pd_levels *levels, struct pd_levels_view *view, const struct levels_model *model,
		      const struct plan_options *options, char problem[300])
{
	unsigned all = plan_key_count(options);
	struct pd_levels_iterator *iterator;
	struct pd_error err = { 0 };
	bool same;

	for (unsigned i = 0; i < all; i++)
		if (!get_equal(levels, view, model, plan_key(options, i), problem))
			return false;
	if ((view != NULL ? pd_levels_view_iterator_new(view, &iterator, &err)
			  : pd_levels_iterator_new(levels, &iterator, &err)) != 0)
		return wrong(problem, "no iterator", pd_slice(NULL, 0), err.text);
	same = scan_equal(iterator, model, pd_slice(NULL, 0), beyond_all(), problem);
	/* Parts, with bounds that are keys, within an actor and over several. */
	for (unsigned i = 0; i + 1 < all && same; i += 1 + all / 7)
		same = scan_equal(iterator, model, plan_key(options, i),
				  plan_key(options, i + 1 + (i * 13) % (all - i - 1)), problem);
	pd_levels_iterator_free(iterator);
	return same;
}

bool levels_equal(struct pd_levels *levels, const struct levels_model *model,
		  const struct plan_options *options, char problem[300])
{
	return all_equal(levels, NULL, model, options, problem);
}

bool view_equal(struct pd_levels_view *view, const struct levels_model *model,
		const struct plan_options *options, char problem[300])
{
	return all_equal(view->levels, view, model, options, problem);
}
