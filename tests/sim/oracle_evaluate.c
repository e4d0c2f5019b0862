/* The commands as the model understands them: what they answer and what they change. */
#include "oracle_evaluate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONG_TYPE  "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define OVERFLOW    "-ERR increment or decrement would overflow\r\n"

/* ---- replies ---- */

void reply_append(struct reply *reply, unsigned protocol, struct pd_slice bytes)
{
	if (pd_buffer_append_slice(&reply->bytes[protocol], bytes) != 0) {
		(void)fprintf(stderr, "sim: out of memory\n");
		exit(2);
	}
}

static void both(struct reply *reply, const char *text)
{
	reply_append(reply, 0, pd_slice_string(text));
	reply_append(reply, 1, pd_slice_string(text));
}

static void reply_integer(struct reply *reply, int64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof text, ":%" PRId64 "\r\n", number);
	both(reply, text);
}

static void reply_bulk(struct reply *reply, struct pd_slice bytes)
{
	char text[32];

	(void)snprintf(text, sizeof text, "$%zu\r\n", bytes.size);
	for (unsigned i = 0; i < 2; i++) {
		reply_append(reply, i, pd_slice_string(text));
		reply_append(reply, i, bytes);
		reply_append(reply, i, pd_slice("\r\n", 2));
	}
}

static void reply_null(struct reply *reply)
{
	reply_append(reply, 0, pd_slice_string("$-1\r\n"));
	reply_append(reply, 1, pd_slice_string("_\r\n"));
}

void reply_array(struct reply *reply, size_t count)
{
	char text[32];

	(void)snprintf(text, sizeof text, "*%zu\r\n", count);
	both(reply, text);
}

static void reply_map(struct reply *reply, size_t count)
{
	char text[32];

	(void)snprintf(text, sizeof text, "*%zu\r\n", 2 * count);
	reply_append(reply, 0, pd_slice_string(text));
	(void)snprintf(text, sizeof text, "%%%zu\r\n", count);
	reply_append(reply, 1, pd_slice_string(text));
}

static void reply_string_or_null(struct reply *reply, const struct oracle_item *item)
{
	if (item != NULL && !item->is_hash)
		reply_bulk(reply, item->string);
	else
		reply_null(reply);
}

/* ---- state ---- */

const struct oracle_item *evaluation_see(const struct evaluation *e, struct place place)
{
	return oracle_see(e->oracle, e->request->tenant, place, e->now_us);
}

static void bear(struct evaluation *e, unsigned cell)
{
	const struct oracle_name *last = e->oracle->cells[CELL_LAST_ID];
	struct oracle_name *name;

	if (e->oracle->cells[cell] != NULL)
		return;
	name = arena_take(e->oracle->arena, sizeof *name);
	*name = (struct oracle_name){ .id = last != NULL ? last->id + 1 : 1, .level = PD_LEVEL_UNSET };
	oracle_set(e->oracle, CELL_LAST_ID, name, e->lsn);
	oracle_set(e->oracle, cell, name, e->lsn);
}

void evaluation_bear(struct evaluation *e, unsigned actor)
{
	bear(e, cell_tenant(e->request->tenant));
	bear(e, cell_actor(e->request->tenant, actor));
}

/* May this session write to it? */
static void note_owner(struct evaluation *e, const struct oracle_name *name, unsigned actor)
{
	uint64_t claim = e->request->claims[actor];

	if (claim != 0 ? claim != name->epoch : name->exclusive && name->lease_end_us > e->now_us)
		e->stale = true;
}

static void note_level(struct evaluation *e, unsigned actor)
{
	const struct oracle_name *name = e->oracle->cells[cell_actor(e->request->tenant, actor)];
	const struct oracle_name *tenant = e->oracle->cells[cell_tenant(e->request->tenant)];
	enum pd_level level = name->level != PD_LEVEL_UNSET ? name->level : tenant->level;

	if (level == PD_LEVEL_UNSET)
		level = e->oracle->default_level;
	if (level > e->level)
		e->level = level;
	note_owner(e, name, actor);
}

static void put(struct evaluation *e, struct place place, const struct oracle_item *item)
{
	struct oracle_item *copy = arena_copy(e->oracle->arena, item, sizeof *item);

	evaluation_bear(e, place.actor);
	note_level(e, place.actor);
	copy->lsn = e->lsn;
	oracle_set(e->oracle, cell_item(e->request->tenant, place), copy, e->lsn);
}

static void put_string(struct evaluation *e, struct place place, struct pd_slice string, uint64_t expires_us)
{
	struct oracle_item item = { .string = string, .expires_us = expires_us };

	put(e, place, &item);
}

static void erase(struct evaluation *e, struct place place)
{
	note_level(e, place.actor);
	oracle_set(e->oracle, cell_item(e->request->tenant, place), NULL, e->lsn);
}

/* NULL: nothing there, or the error has been replied (*ret_wrong). */
static const struct oracle_item *see_as(struct evaluation *e, struct place place, bool hash, bool *ret_wrong)
{
	const struct oracle_item *item = evaluation_see(e, place);

	*ret_wrong = item != NULL && item->is_hash != hash;
	if (!*ret_wrong)
		return item;
	both(e->reply, WRONG_TYPE);
	return NULL;
}

/* ---- numbers ---- */

/* Canonical decimal, as Redis wants it. */
static bool parse_integer(struct pd_slice text, int64_t *ret_number)
{
	char copy[24], back[24];
	long long number;

	if (text.size == 0 || text.size > 20)
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	number = strtoll(copy, NULL, 10);
	(void)snprintf(back, sizeof back, "%lld", number);
	if (strlen(back) != text.size || memcmp(back, text.data, text.size) != 0)
		return false;
	*ret_number = number;
	return true;
}

/* false: the error has been replied. */
static bool add(struct evaluation *e, const struct pd_slice *old, int64_t increment, const char *not_integer,
		struct pd_slice *ret_text, int64_t *ret_sum)
{
	char text[24];
	int64_t number = 0;
	int size;

	if (old != NULL && !parse_integer(*old, &number)) {
		both(e->reply, not_integer);
		return false;
	}
	if (__builtin_add_overflow(number, increment, &number)) {
		both(e->reply, OVERFLOW);
		return false;
	}
	size = snprintf(text, sizeof text, "%" PRId64, number);
	*ret_text = pd_slice(arena_copy(e->oracle->arena, text, (size_t)size), (size_t)size);
	*ret_sum = number;
	return true;
}

/* ---- strings ---- */

static void run_set(struct evaluation *e, const struct operation *o)
{
	const struct oracle_item *item = evaluation_see(e, o->places[0]);
	uint64_t expires_us = 0;

	if (o->get && item != NULL && item->is_hash) {
		both(e->reply, WRONG_TYPE);
		return;
	}
	if (o->get)
		reply_string_or_null(e->reply, item);
	if ((o->nx && item != NULL) || (o->xx && item == NULL)) {
		if (!o->get)
			reply_null(e->reply);
		return;
	}
	if (o->px)
		expires_us = (e->now_us / 1000 + (uint64_t)o->number) * 1000;
	else if (o->keep_ttl && item != NULL)
		expires_us = item->expires_us;
	put_string(e, o->places[0], o->values[0], expires_us);
	if (!o->get)
		both(e->reply, "+OK\r\n");
}

static void run_string(struct evaluation *e, const struct operation *o)
{
	bool wrong;
	const struct oracle_item *item = see_as(e, o->places[0], false, &wrong);
	struct pd_slice text;
	uint8_t *joined;
	int64_t sum;

	if (wrong)
		return;
	switch (o->verb) {
	case VERB_GETDEL:
		reply_string_or_null(e->reply, item);
		if (item != NULL)
			erase(e, o->places[0]);
		break;
	case VERB_GETSET:
		reply_string_or_null(e->reply, item);
		put_string(e, o->places[0], o->values[0], 0);
		break;
	case VERB_STRLEN:
		reply_integer(e->reply, item != NULL ? (int64_t)item->string.size : 0);
		break;
	case VERB_APPEND:
		text = item != NULL ? item->string : pd_slice(NULL, 0);
		joined = arena_take(e->oracle->arena, text.size + o->values[0].size);
		if (text.size > 0)
			memcpy(joined, text.data, text.size);
		if (o->values[0].size > 0)
			memcpy(joined + text.size, o->values[0].data, o->values[0].size);
		put_string(e, o->places[0], pd_slice(joined, text.size + o->values[0].size),
			   item != NULL ? item->expires_us : 0);
		reply_integer(e->reply, (int64_t)(text.size + o->values[0].size));
		break;
	case VERB_INCRBY:
		if (!add(e, item != NULL ? &item->string : NULL, o->number, NOT_INTEGER, &text, &sum))
			return;
		put_string(e, o->places[0], text, item != NULL ? item->expires_us : 0);
		reply_integer(e->reply, sum);
		break;
	default:
		reply_string_or_null(e->reply, item);
	}
}

static void run_many(struct evaluation *e, const struct operation *o)
{
	bool any = false;

	switch (o->verb) {
	case VERB_MGET:
		reply_array(e->reply, o->place_count);
		for (unsigned i = 0; i < o->place_count; i++)
			reply_string_or_null(e->reply, evaluation_see(e, o->places[i]));
		return;
	case VERB_MSETNX:
		for (unsigned i = 0; i < o->place_count; i++)
			any = any || evaluation_see(e, o->places[i]) != NULL;
		if (any) {
			reply_integer(e->reply, 0);
			return;
		}
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < o->place_count; i++)
		put_string(e, o->places[i], o->values[i], 0);
	if (o->verb == VERB_MSETNX)
		reply_integer(e->reply, 1);
	else
		both(e->reply, "+OK\r\n");
}

/* ---- hashes ---- */

static void read_hash(struct evaluation *e, const struct operation *o, const struct oracle_item *item)
{
	unsigned field = o->fields[0];

	if (o->verb == VERB_HLEN) {
		reply_integer(e->reply, item != NULL ? (int64_t)item->field_count : 0);
	} else if (o->verb == VERB_HGET) {
		if (item != NULL && item->fields[field].there)
			reply_bulk(e->reply, item->fields[field].value);
		else
			reply_null(e->reply);
	} else {
		reply_map(e->reply, item != NULL ? item->field_count : 0);
		for (unsigned i = 0; item != NULL && i < WORLD_FIELDS; i++) {
			if (!item->fields[i].there)
				continue;
			reply_bulk(e->reply, pd_slice_string(field_name(i)));
			reply_bulk(e->reply, item->fields[i].value);
		}
	}
}

static void set_field(struct oracle_item *item, unsigned field, struct pd_slice value)
{
	item->field_count += !item->fields[field].there;
	item->fields[field].there = true;
	item->fields[field].value = value;
}

static void delete_fields(struct evaluation *e, const struct operation *o, const struct oracle_item *item)
{
	struct oracle_item changed;
	unsigned deleted = 0;

	if (item == NULL) {
		reply_integer(e->reply, 0);
		return;
	}
	changed = *item;
	for (unsigned i = 0; i < o->field_count; i++) {
		deleted += changed.fields[o->fields[i]].there;
		changed.field_count -= changed.fields[o->fields[i]].there;
		changed.fields[o->fields[i]].there = false;
	}
	if (deleted > 0 && changed.field_count == 0)
		erase(e, o->places[0]);
	else if (deleted > 0)
		put(e, o->places[0], &changed);
	reply_integer(e->reply, deleted);
}

static void run_hash(struct evaluation *e, const struct operation *o)
{
	bool wrong;
	const struct oracle_item *item = see_as(e, o->places[0], true, &wrong);
	struct oracle_item changed = { .is_hash = true };
	const struct pd_slice *old = NULL;
	struct pd_slice text;
	int64_t sum;

	if (wrong)
		return;
	if (item != NULL)
		changed = *item;
	switch (o->verb) {
	case VERB_HSET:
		for (unsigned i = 0; i < o->field_count; i++)
			set_field(&changed, o->fields[i], o->values[i]);
		put(e, o->places[0], &changed);
		reply_integer(e->reply, changed.field_count - (item != NULL ? item->field_count : 0));
		break;
	case VERB_HINCRBY:
		if (item != NULL && item->fields[o->fields[0]].there)
			old = &item->fields[o->fields[0]].value;
		if (!add(e, old, o->number, "-ERR hash value is not an integer\r\n", &text, &sum))
			return;
		set_field(&changed, o->fields[0], text);
		put(e, o->places[0], &changed);
		reply_integer(e->reply, sum);
		break;
	case VERB_HDEL:
		delete_fields(e, o, item);
		break;
	default:
		read_hash(e, o, item);
	}
}

/* ---- keys ---- */

static void run_delete(struct evaluation *e, const struct operation *o)
{
	int64_t count = 0;

	for (unsigned i = 0; i < o->place_count; i++) {
		if (evaluation_see(e, o->places[i]) == NULL)
			continue;
		count++;
		if (o->verb == VERB_DEL)
			erase(e, o->places[i]);
	}
	reply_integer(e->reply, count);
}

static void run_expiry(struct evaluation *e, const struct operation *o)
{
	const struct oracle_item *item = evaluation_see(e, o->places[0]);
	int64_t now_ms = (int64_t)(e->now_us / 1000);
	struct oracle_item changed;

	if (o->verb == VERB_PEXPIRETIME) {
		reply_integer(e->reply, item == NULL            ? -2
					: item->expires_us == 0 ? -1
								: (int64_t)(item->expires_us / 1000));
		return;
	}
	if (item == NULL || (o->verb == VERB_PERSIST && item->expires_us == 0)) {
		reply_integer(e->reply, 0);
		return;
	}
	changed = *item;
	changed.expires_us = 0;
	if (o->verb == VERB_PEXPIRE)
		changed.expires_us = (uint64_t)(now_ms + o->number) * 1000;
	if (o->verb == VERB_PEXPIRE && o->number <= 0)
		erase(e, o->places[0]);
	else
		put(e, o->places[0], &changed);
	reply_integer(e->reply, 1);
}

static void run_move(struct evaluation *e, const struct operation *o)
{
	const struct oracle_item *item = evaluation_see(e, o->places[0]);
	const struct oracle_item *other = evaluation_see(e, o->places[1]);
	bool same = o->places[0].actor == o->places[1].actor && o->places[0].key == o->places[1].key;

	if (o->verb == VERB_COPY && same) {
		both(e->reply, "-ERR source and destination objects are the same\r\n");
		return;
	}
	if (item == NULL) {
		both(e->reply, o->verb == VERB_COPY ? ":0\r\n" : "-ERR no such key\r\n");
		return;
	}
	if (o->verb != VERB_RENAME && other != NULL) {
		reply_integer(e->reply, 0);
		return;
	}
	if (!same)
		put(e, o->places[1], item);
	if (!same && o->verb != VERB_COPY)
		erase(e, o->places[0]);
	both(e->reply, o->verb == VERB_RENAME ? "+OK\r\n" : ":1\r\n");
}

/* ---- relations ---- */

#define DATA_MAX 256u

static bool is_there(const struct evaluation *e, unsigned actor)
{
	return e->oracle->cells[cell_actor(e->request->tenant, actor)] != NULL;
}

static void reply_error(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void reply_error(struct reply *reply, const char *format, ...)
{
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	both(reply, text);
}

static void run_relate(struct evaluation *e, const struct operation *o)
{
	unsigned from = o->places[0].actor, to = o->places[1].actor;
	unsigned cell = cell_relation(e->request->tenant, from, to, o->kind);
	const struct oracle_relation *old = e->oracle->cells[cell];
	struct oracle_relation relation = { .data = o->values[0] };

	if (o->values[0].size > DATA_MAX) {
		reply_error(e->reply,
			    "-ERR what a relation says may have %u bytes, not %zu: keep the rest under a key "
			    "of one of the two\r\n",
			    DATA_MAX, o->values[0].size);
		return;
	}
	if (!is_there(e, from) || !is_there(e, to)) {
		reply_error(e->reply,
			    "-ERR there is no actor '%s' to relate: one comes into being when it is first "
			    "written to\r\n",
			    actor_name(is_there(e, from) ? to : from));
		return;
	}
	note_level(e, from);
	note_level(e, to);
	if (old == NULL || !pd_slice_equal(old->data, relation.data))
		oracle_set(e->oracle, cell, arena_copy(e->oracle->arena, &relation, sizeof relation), e->lsn);
	reply_integer(e->reply, old == NULL);
}

static void run_unrelate(struct evaluation *e, const struct operation *o)
{
	unsigned from = o->places[0].actor, to = o->places[1].actor;
	unsigned cell = cell_relation(e->request->tenant, from, to, o->kind);
	bool was_there = e->oracle->cells[cell] != NULL;

	if (was_there) {
		note_level(e, from);
		note_level(e, to);
		oracle_set(e->oracle, cell, NULL, e->lsn);
	}
	reply_integer(e->reply, was_there);
}

/* Those of one direction, in the order of their kinds and of the others' names; how many there are. */
static size_t list_side(struct evaluation *e, const struct operation *o, bool in, bool write)
{
	static const uint8_t in_order[WORLD_ACTORS] = { 1, 3, 2, 0, 4 };
	unsigned own = o->places[0].actor;
	size_t count = 0;

	for (unsigned i = 0; i < WORLD_KINDS * WORLD_ACTORS; i++) {
		unsigned kind = i / WORLD_ACTORS, other = in_order[i % WORLD_ACTORS];
		const struct oracle_relation *relation = e->oracle->cells[cell_relation(
			e->request->tenant, in ? other : own, in ? own : other, kind)];

		if (relation == NULL || (o->kind < WORLD_KINDS && o->kind != kind))
			continue;
		count++;
		if (!write)
			continue;
		reply_map(e->reply, 4);
		reply_bulk(e->reply, pd_slice_string("direction"));
		reply_bulk(e->reply, pd_slice_string(in ? "in" : "out"));
		reply_bulk(e->reply, pd_slice_string("kind"));
		reply_bulk(e->reply, pd_slice_string(kind_name(kind)));
		reply_bulk(e->reply, pd_slice_string("actor"));
		reply_bulk(e->reply, pd_slice_string(actor_name(other)));
		reply_bulk(e->reply, pd_slice_string("data"));
		reply_bulk(e->reply, relation->data);
	}
	return count;
}

static void run_relations(struct evaluation *e, const struct operation *o)
{
	bool in = o->sides != SIDES_OUT, out = o->sides != SIDES_IN;

	if (!is_there(e, o->places[0].actor)) {
		reply_error(e->reply, "-ERR there is no actor '%s'\r\n", actor_name(o->places[0].actor));
		return;
	}
	reply_array(e->reply, 2);
	reply_bulk(e->reply, pd_slice_string("0"));
	reply_array(e->reply,
		    (in ? list_side(e, o, true, false) : 0) + (out ? list_side(e, o, false, false) : 0));
	if (in)
		(void)list_side(e, o, true, true);
	if (out)
		(void)list_side(e, o, false, true);
}

static void run_flush(struct evaluation *e)
{
	for (uint8_t actor = 0; actor < WORLD_ACTORS; actor++) {
		if (e->request->one_actor && actor != e->request->actor)
			continue;
		/* Even where there is nothing to delete. */
		if (e->oracle->cells[cell_actor(e->request->tenant, actor)] != NULL)
			note_level(e, actor);
		for (uint8_t key = 0; key < WORLD_KEYS; key++) {
			struct place place = { .actor = actor, .key = key };

			if (evaluation_see(e, place) != NULL)
				erase(e, place);
		}
	}
	both(e->reply, "+OK\r\n");
}

static void run_type(struct evaluation *e, const struct operation *o)
{
	const struct oracle_item *item = evaluation_see(e, o->places[0]);

	both(e->reply, item == NULL ? "+none\r\n" : item->is_hash ? "+hash\r\n" : "+string\r\n");
}

void evaluation_run(struct evaluation *e, const struct operation *o)
{
	switch (o->verb) {
	case VERB_SET:
		run_set(e, o);
		break;
	case VERB_SETNX:
		if (evaluation_see(e, o->places[0]) != NULL) {
			reply_integer(e->reply, 0);
			break;
		}
		put_string(e, o->places[0], o->values[0], 0);
		reply_integer(e->reply, 1);
		break;
	case VERB_MGET:
	case VERB_MSET:
	case VERB_MSETNX:
		run_many(e, o);
		break;
	case VERB_HDEL:
	case VERB_HGET:
	case VERB_HGETALL:
	case VERB_HINCRBY:
	case VERB_HLEN:
	case VERB_HSET:
		run_hash(e, o);
		break;
	case VERB_DEL:
	case VERB_EXISTS:
		run_delete(e, o);
		break;
	case VERB_PERSIST:
	case VERB_PEXPIRE:
	case VERB_PEXPIRETIME:
		run_expiry(e, o);
		break;
	case VERB_COPY:
	case VERB_RENAME:
	case VERB_RENAMENX:
		run_move(e, o);
		break;
	case VERB_FLUSHDB:
		run_flush(e);
		break;
	case VERB_TYPE:
		run_type(e, o);
		break;
	case VERB_RELATE:
		run_relate(e, o);
		break;
	case VERB_UNRELATE:
		run_unrelate(e, o);
		break;
	case VERB_RELATIONS:
		run_relations(e, o);
		break;
	default:
		run_string(e, o);
	}
}
