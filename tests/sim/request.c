#include "request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/kv/kv.h"
#include "model/relation/relation.h"

#define VALUE_BYTES ((size_t)512 * 1024) /* of the pool that values are cut from */

/* ---- names ---- */

static const char *const tenant_names[WORLD_TENANTS] = { "default", "acme", "zoo" };
static const char *const actor_names[WORLD_ACTORS] = { "main", "a", "bob", "agent-with-a-rather-long-name-7",
						       "x" };
static const char *const key_names[WORLD_KEYS] = {
	"k0", "k1", "k2", "k3", "k", "key-with-a-name-that-fills-more-than-one-word-of-the-index", "z}", "9",
};
/* In the order of their bytes. */
static const char *const field_names[WORLD_FIELDS] = { "f", "f0", "f1", "f2", "field-three", "g" };
static const char *const idempotency_names[WORLD_IDEMPOTENCY_KEYS] = { "id-0", "id-1", "id-2",
								       "id-3", "id-4", "id-5" };
/* In the order of their bytes. The first is that of a relation which is given none. */
static const char *const kind_names[WORLD_KINDS] = { PD_RELATION_KIND, PD_RELATION_KIND "-to" };
static const char *const verb_names[VERB_COUNT] = {
	[VERB_APPEND] = "append",
	[VERB_COPY] = "copy",
	[VERB_DEL] = "del",
	[VERB_EXISTS] = "exists",
	[VERB_FLUSHDB] = "flushdb",
	[VERB_GET] = "get",
	[VERB_GETDEL] = "getdel",
	[VERB_GETSET] = "getset",
	[VERB_HDEL] = "hdel",
	[VERB_HGET] = "hget",
	[VERB_HGETALL] = "hgetall",
	[VERB_HINCRBY] = "hincrby",
	[VERB_HLEN] = "hlen",
	[VERB_HSET] = "hset",
	[VERB_INCRBY] = "incrby",
	[VERB_MGET] = "mget",
	[VERB_MSET] = "mset",
	[VERB_MSETNX] = "msetnx",
	[VERB_PERSIST] = "persist",
	[VERB_PEXPIRE] = "pexpire",
	[VERB_PEXPIRETIME] = "pexpiretime",
	[VERB_RELATE] = "pd.actor|relate",
	[VERB_RELATIONS] = "pd.actor|relations",
	[VERB_RENAME] = "rename",
	[VERB_RENAMENX] = "renamenx",
	[VERB_SET] = "set",
	[VERB_SETNX] = "setnx",
	[VERB_STRLEN] = "strlen",
	[VERB_TYPE] = "type",
	[VERB_UNRELATE] = "pd.actor|unrelate",
};
/* How often each is chosen. */
static const uint8_t verb_weights[VERB_COUNT] = {
	[VERB_APPEND] = 8,   [VERB_COPY] = 2,      [VERB_DEL] = 6,     [VERB_EXISTS] = 2,
	[VERB_FLUSHDB] = 0, /* by taste */
	[VERB_GET] = 10,     [VERB_GETDEL] = 2,    [VERB_GETSET] = 2,  [VERB_HDEL] = 6,
	[VERB_HGET] = 3,     [VERB_HGETALL] = 3,   [VERB_HINCRBY] = 6, [VERB_HLEN] = 1,
	[VERB_HSET] = 12,    [VERB_INCRBY] = 10,   [VERB_MGET] = 3,    [VERB_MSET] = 8,
	[VERB_MSETNX] = 2,   [VERB_PERSIST] = 2,   [VERB_PEXPIRE] = 6, [VERB_PEXPIRETIME] = 2,
	[VERB_RELATE] = 10,  [VERB_RELATIONS] = 3, [VERB_RENAME] = 4,  [VERB_RENAMENX] = 2,
	[VERB_SET] = 18,     [VERB_SETNX] = 2,     [VERB_STRLEN] = 1,  [VERB_TYPE] = 1,
	[VERB_UNRELATE] = 5,
};

const char *tenant_name(unsigned tenant)
{
	return tenant_names[tenant];
}

const char *actor_name(unsigned actor)
{
	return actor_names[actor];
}

const char *key_name(unsigned key)
{
	return key_names[key];
}

const char *field_name(unsigned field)
{
	return field_names[field];
}

const char *idempotency_name(unsigned key)
{
	return idempotency_names[key];
}

const char *kind_name(unsigned kind)
{
	return kind_names[kind];
}

static bool is_about_relations(enum verb verb)
{
	return verb == VERB_RELATE || verb == VERB_RELATIONS || verb == VERB_UNRELATE;
}

static const struct pd_command *find_command(const char *name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (strcmp(pd_kv_commands[i].name, name) == 0)
			return &pd_kv_commands[i];
	for (size_t i = 0; i < pd_relation_command_count; i++)
		if (strcmp(pd_relation_commands[i].name, name) == 0)
			return &pd_relation_commands[i];
	(void)fprintf(stderr, "sim: there is no command '%s'\n", name);
	exit(2);
}

void vocabulary_init(struct vocabulary *vocabulary)
{
	struct chance chance = { .state = 7 };

	for (unsigned verb = 0; verb < VERB_COUNT; verb++)
		vocabulary->commands[verb] = find_command(verb_names[verb]);
	vocabulary->keys = find_command("keys");
	vocabulary->bytes = malloc(VALUE_BYTES);
	if (vocabulary->bytes == NULL) {
		(void)fprintf(stderr, "sim: out of memory\n");
		exit(2);
	}
	for (size_t i = 0; i < VALUE_BYTES; i++)
		vocabulary->bytes[i] = (uint8_t)chance_next(&chance);
}

void vocabulary_done(struct vocabulary *vocabulary)
{
	free(vocabulary->bytes);
}

/* ---- words ---- */

static void add_word(struct request *request, struct pd_slice word)
{
	request->words[request->word_count++] = word;
}

static void add_text(struct request *request, const char *text)
{
	add_word(request, pd_slice_string(text));
}

static void add_number(struct request *request, int64_t number, struct arena *arena)
{
	char text[24];
	int size = snprintf(text, sizeof text, "%" PRId64, number);

	add_word(request, pd_slice(arena_copy(arena, text, (size_t)size), (size_t)size));
}

/* Bare in the session's own actor, else, or by chance, with the actor in braces. */
static void add_key(struct request *request, struct place place, struct chance *chance, struct arena *arena)
{
	const char *key = key_names[place.key], *actor = actor_names[place.actor];
	size_t key_size = strlen(key), actor_size = strlen(actor);
	uint8_t *word;

	if (place.actor == request->actor && !chance_one_in(chance, 4)) {
		add_text(request, key);
		return;
	}
	word = arena_take(arena, actor_size + key_size + 2);
	word[0] = '{';
	memcpy(word + 1, actor, actor_size);
	word[1 + actor_size] = '}';
	memcpy(word + actor_size + 2, key, key_size);
	add_word(request, pd_slice(word, actor_size + key_size + 2));
}

static void add_set_options(struct request *request, const struct operation *operation, struct arena *arena)
{
	if (operation->nx)
		add_text(request, "NX");
	if (operation->xx)
		add_text(request, "XX");
	if (operation->get)
		add_text(request, "GET");
	if (operation->keep_ttl)
		add_text(request, "KEEPTTL");
	if (operation->px) {
		add_text(request, "PX");
		add_number(request, operation->number, arena);
	}
}

/* Relations are named by actors, and their commands by two words. */
static void add_relation(struct request *request, const struct operation *operation)
{
	static const char *const sides[] = { [SIDES_OUT] = "OUT", [SIDES_IN] = "IN" };

	add_text(request, "PD.ACTOR");
	add_text(request, strchr(verb_names[operation->verb], '|') + 1);
	for (unsigned i = 0; i < operation->place_count; i++)
		add_text(request, actor_names[operation->places[i].actor]);
	if (operation->sides != SIDES_BOTH)
		add_text(request, sides[operation->sides]);
	if (operation->kind > 0 && operation->kind < WORLD_KINDS) {
		add_text(request, "KIND");
		add_text(request, kind_names[operation->kind]);
	}
	if (operation->value_count > 0 && operation->values[0].size > 0) {
		add_text(request, "DATA");
		add_word(request, operation->values[0]);
	}
}

static void add_words(struct request *request, const struct operation *operation, struct chance *chance,
		      struct arena *arena)
{
	enum verb verb = operation->verb;

	add_text(request, verb_names[verb]);
	for (unsigned i = 0; i < operation->place_count; i++) {
		add_key(request, operation->places[i], chance, arena);
		if (verb == VERB_MSET || verb == VERB_MSETNX)
			add_word(request, operation->values[i]);
	}
	for (unsigned i = 0; i < operation->field_count; i++) {
		add_text(request, field_names[operation->fields[i]]);
		if (verb == VERB_HSET)
			add_word(request, operation->values[i]);
	}
	if (verb == VERB_SET || verb == VERB_SETNX || verb == VERB_GETSET || verb == VERB_APPEND)
		add_word(request, operation->values[0]);
	if (verb == VERB_SET)
		add_set_options(request, operation, arena);
	if (verb == VERB_INCRBY || verb == VERB_HINCRBY || verb == VERB_PEXPIRE)
		add_number(request, operation->number, arena);
}

void request_add(struct request *request, const struct operation *operation,
		 const struct vocabulary *vocabulary, struct chance *chance, struct arena *arena)
{
	size_t first = request->word_count;

	if (is_about_relations(operation->verb))
		add_relation(request, operation);
	else
		add_words(request, operation, chance, arena);
	request->operations[request->count] = *operation;
	request->commands[request->count++] = (struct pd_request_command){
		.command = vocabulary->commands[operation->verb],
		.words = &request->words[first],
		.count = request->word_count - first
	};
}

/* ---- choices ---- */

static unsigned weight_of(enum verb verb, const struct taste *taste)
{
	return taste->no_relations && is_about_relations(verb) ? 0 : verb_weights[verb];
}

static enum verb choose_verb(const struct taste *taste, struct chance *chance)
{
	unsigned total = 0, pick;

	if (chance_one_in(chance, taste->flush_one_in))
		return VERB_FLUSHDB;
	for (unsigned i = 0; i < VERB_COUNT; i++)
		total += weight_of((enum verb)i, taste);
	pick = (unsigned)chance_below(chance, total);
	for (unsigned i = 0; i < VERB_COUNT; i++) {
		unsigned weight = weight_of((enum verb)i, taste);

		if (pick < weight)
			return (enum verb)i;
		pick -= weight;
	}
	return VERB_GET;
}

static struct pd_slice choose_value(const struct vocabulary *vocabulary, const struct taste *taste,
				    struct chance *chance, struct arena *arena)
{
	size_t size;
	char text[24];

	if (chance_one_in(chance, 4)) {
		int digits = snprintf(text, sizeof text, "%" PRId64,
				      (int64_t)chance_below(chance, 1000) - 500);

		return pd_slice(arena_copy(arena, text, (size_t)digits), (size_t)digits);
	}
	if (chance_percent(chance, taste->large_percent))
		size = (size_t)chance_below(chance, taste->value_max);
	else if (chance_one_in(chance, 8))
		size = (size_t)chance_below(chance, 2000);
	else
		size = (size_t)chance_below(chance, 40);
	return pd_slice(vocabulary->bytes + chance_below(chance, VALUE_BYTES - size), size);
}

static struct place choose_place(const struct request *request, struct chance *chance)
{
	struct place place = { .actor = request->actor, .key = (uint8_t)chance_below(chance, WORLD_KEYS) };

	if (chance_one_in(chance, 3))
		place.actor = (uint8_t)chance_below(chance, WORLD_ACTORS);
	return place;
}

static unsigned place_count(enum verb verb, struct chance *chance)
{
	switch (verb) {
	case VERB_FLUSHDB:
		return 0;
	case VERB_COPY:
	case VERB_RELATE:
	case VERB_RENAME:
	case VERB_RENAMENX:
	case VERB_UNRELATE:
		return 2;
	case VERB_DEL:
	case VERB_EXISTS:
	case VERB_MGET:
	case VERB_MSET:
	case VERB_MSETNX:
		return 1 + (unsigned)chance_below(chance, OPERATION_PLACES_MAX);
	default:
		return 1;
	}
}

static unsigned field_count(enum verb verb, struct chance *chance)
{
	if (verb == VERB_HSET || verb == VERB_HDEL)
		return 1 + (unsigned)chance_below(chance, OPERATION_PLACES_MAX);
	return verb == VERB_HGET || verb == VERB_HINCRBY ? 1 : 0;
}

static int64_t choose_number(enum verb verb, struct chance *chance)
{
	if (verb == VERB_PEXPIRE && chance_one_in(chance, 8))
		return -(int64_t)chance_below(chance, 3);
	if (verb == VERB_PEXPIRE || verb == VERB_SET)
		return (int64_t)chance_spread(chance, 10 * 60 * 1000);
	if (chance_one_in(chance, 20))
		return chance_one_in(chance, 2) ? INT64_MAX : INT64_MIN + 1;
	return (int64_t)chance_below(chance, 100) - 20;
}

/* Between any two: what comes of it when one of them goes is of interest. */
static void make_relation(struct operation *operation, struct chance *chance)
{
	if (operation->place_count > 1)
		operation->places[1].actor = (uint8_t)chance_below(chance, WORLD_ACTORS);
	operation->kind = chance_one_in(chance, 3);
	if (operation->verb != VERB_RELATE)
		operation->value_count = 0;
	if (operation->verb != VERB_RELATIONS)
		return;
	operation->kind = chance_one_in(chance, 3) ? 1 : WORLD_KINDS;
	operation->sides = (enum sides)chance_below(chance, 3);
}

static void make_operation(struct operation *operation, const struct request *request, enum verb verb,
			   const struct vocabulary *vocabulary, const struct taste *taste,
			   struct chance *chance, struct arena *arena)
{
	*operation = (struct operation){ .verb = verb };
	operation->place_count = place_count(verb, chance);
	operation->field_count = field_count(verb, chance);
	for (unsigned i = 0; i < operation->place_count; i++)
		operation->places[i] = choose_place(request, chance);
	for (unsigned i = 0; i < operation->field_count; i++)
		operation->fields[i] = (uint8_t)chance_below(chance, WORLD_FIELDS);
	operation->value_count = operation->place_count > operation->field_count ? operation->place_count
										 : operation->field_count;
	for (unsigned i = 0; i < operation->value_count; i++)
		operation->values[i] = choose_value(vocabulary, taste, chance, arena);
	operation->number = choose_number(verb, chance);
	if (verb == VERB_SET && chance_one_in(chance, 2)) {
		operation->nx = chance_one_in(chance, 5);
		operation->xx = !operation->nx && chance_one_in(chance, 5);
		operation->get = chance_one_in(chance, 5);
		operation->px = chance_one_in(chance, 3);
		operation->keep_ttl = !operation->px && chance_one_in(chance, 3);
	}
	if (is_about_relations(verb))
		make_relation(operation, chance);
}

void request_make(struct request *request, const struct vocabulary *vocabulary, const struct taste *taste,
		  struct chance *chance, struct arena *arena)
{
	static const enum pd_level levels[] = { PD_LEVEL_NONE, PD_LEVEL_PERFORMANCE, PD_LEVEL_STANDARD,
						PD_LEVEL_STRICT };
	size_t count = 1;

	request->idempotency = -1;
	if (chance_percent(chance, taste->transaction_percent)) {
		count = 1 + (size_t)chance_below(chance, REQUEST_OPERATIONS_MAX);
		request->as_array = true;
	}
	for (size_t i = 0; i < count; i++) {
		struct operation operation;

		make_operation(&operation, request, choose_verb(taste, chance), vocabulary, taste, chance,
			       arena);
		request_add(request, &operation, vocabulary, chance, arena);
	}
	if (chance_percent(chance, taste->level_percent))
		request->level = levels[chance_below(chance, 4)];
	if (chance_percent(chance, taste->idempotent_percent))
		request->idempotency = (int)chance_below(chance, WORLD_IDEMPOTENCY_KEYS);
}

bool request_same(const struct request *a, const struct request *b)
{
	if (a == b)
		return true;
	if (a->actor != b->actor || a->one_actor != b->one_actor || a->count != b->count ||
	    a->as_array != b->as_array || a->word_count != b->word_count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->commands[i].command != b->commands[i].command ||
		    a->commands[i].count != b->commands[i].count)
			return false;
	for (size_t i = 0; i < a->word_count; i++)
		if (!pd_slice_equal(a->words[i], b->words[i]))
			return false;
	return true;
}

bool request_relates(const struct request *request)
{
	for (size_t i = 0; i < request->count; i++)
		if (is_about_relations(request->operations[i].verb))
			return true;
	return false;
}

void request_print(const struct request *request)
{
	static const char *const kinds[] = { "exists", "absent", "version", "value" };

	(void)printf("  %s/%s%s level %s", tenant_names[request->tenant], actor_names[request->actor],
		     request->one_actor ? " (alone)" : "", pd_level_name(request->level));
	if (request->idempotency >= 0)
		(void)printf(" key %s", idempotency_names[request->idempotency]);
	for (size_t i = 0; i < request->precondition_count; i++)
		(void)printf(" if %s {%s}%s", kinds[request->preconditions[i].kind],
			     actor_names[request->preconditions[i].place.actor],
			     key_names[request->preconditions[i].place.key]);
	(void)printf("%s:", request->as_array ? " MULTI" : "");
	for (size_t i = 0; i < request->count; i++) {
		for (size_t w = 0; w < request->commands[i].count; w++) {
			struct pd_slice word = request->commands[i].words[w];
			bool plain = word.size < 80;

			for (size_t b = 0; plain && b < word.size; b++)
				plain = word.data[b] > ' ' && word.data[b] < 0x7f;
			if (plain)
				(void)printf(" %.*s", (int)word.size, (const char *)word.data);
			else
				(void)printf(" (%zu bytes)", word.size);
		}
		(void)printf(";");
	}
}
