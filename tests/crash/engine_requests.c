#include "engine_requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/chance.h"

/* One thing that a request does. */
enum act { ACT_SET, ACT_DELETE, ACT_ADD, ACT_SET_FIELD, ACT_DELETE_FIELD, ACT_FLUSH };

struct deed {
	enum act act;
	enum request_kind kind;
	unsigned key, field;
	int64_t amount;
};

void request_key(enum request_kind kind, unsigned key, char text[40])
{
	static const char *const actors[] = { "", "{ada}", "{bob}", "{cyd}" };
	static const char *const kinds[] = { "string", "counter", "hash" };

	(void)snprintf(text, 40, "%s%s-%u", actors[key % 4], kinds[kind], key);
}

struct pd_slice request_value(uint64_t seed, unsigned number, unsigned command,
			      uint8_t room[REQUEST_VALUE_MAX])
{
	struct chance chance = { seed * 1000003 + number * 1009 + command };
	size_t size = 1 + chance_below(&chance, 250);

	if (chance_percent(&chance, 5))
		size = 1000 + chance_below(&chance, REQUEST_VALUE_MAX - 1000);
	for (size_t i = 0; i < size; i++)
		room[i] = (uint8_t)chance_next(&chance);
	return pd_slice(room, size);
}

/* The deeds of a request. Before a flush nothing else is done. */
static unsigned choose_deeds(struct chance *chance, struct deed deeds[REQUEST_COMMANDS_MAX - 1])
{
	unsigned count = 1 + (unsigned)chance_below(chance, REQUEST_COMMANDS_MAX - 1);

	for (unsigned i = 0; i < count; i++) {
		uint64_t dice = chance_below(chance, 100);
		struct deed *deed = &deeds[i];

		*deed = (struct deed){ .kind = dice < 55   ? REQUEST_STRING
					       : dice < 70 ? REQUEST_COUNTER
							   : REQUEST_HASH };
		if (deed->kind == REQUEST_STRING) {
			deed->act = chance_percent(chance, 75) ? ACT_SET : ACT_DELETE;
			deed->key = (unsigned)chance_below(chance, REQUEST_STRINGS);
		} else if (deed->kind == REQUEST_COUNTER) {
			deed->act = chance_percent(chance, 85) ? ACT_ADD : ACT_DELETE;
			deed->key = (unsigned)chance_below(chance, REQUEST_COUNTERS);
			deed->amount = (int64_t)chance_below(chance, 2000) - 1000;
		} else {
			uint64_t what = chance_below(chance, 100);

			deed->act = what < 70 ? ACT_SET_FIELD : what < 90 ? ACT_DELETE_FIELD : ACT_DELETE;
			deed->key = (unsigned)chance_below(chance, REQUEST_HASHES);
			deed->field = (unsigned)chance_below(chance, REQUEST_FIELDS);
		}
	}
	if (chance_percent(chance, 1))
		deeds[0] = (struct deed){ .act = ACT_FLUSH };
	return count;
}

static struct chance chance_of(uint64_t seed, unsigned number)
{
	return (struct chance){ seed * 7919 + number };
}

static void add_word(struct request_command *command, struct pd_slice word)
{
	command->words[command->count++] = word;
}

static void add_deed(struct request *request, uint64_t seed, const struct deed *deed)
{
	static const char *const names[] = { "set", "del", "incrby", "hset", "hdel", "flushdb" };
	unsigned place = (unsigned)request->count++;
	struct request_command *command = &request->commands[place];
	char *key = request->texts[place][0], *more = request->texts[place][1];

	add_word(command, pd_slice_string(names[deed->act]));
	if (deed->act == ACT_FLUSH)
		return;
	request_key(deed->kind, deed->key, key);
	add_word(command, pd_slice_string(key));
	if (deed->act == ACT_SET_FIELD || deed->act == ACT_DELETE_FIELD)
		(void)snprintf(more, 40, "field-%u", deed->field);
	else
		(void)snprintf(more, 40, "%" PRId64, deed->amount);
	if (deed->act == ACT_SET_FIELD || deed->act == ACT_DELETE_FIELD || deed->act == ACT_ADD)
		add_word(command, pd_slice_string(more));
	if (deed->act == ACT_SET || deed->act == ACT_SET_FIELD)
		add_word(command, request_value(seed, request->number, place, request->values[place]));
}

static void add_number(struct request *request)
{
	unsigned place = (unsigned)request->count++;
	struct request_command *command = &request->commands[place];

	(void)snprintf(request->texts[place][0], 40, "%u", request->number);
	add_word(command, pd_slice_string("set"));
	add_word(command, pd_slice_string("seq"));
	add_word(command, pd_slice_string(request->texts[place][0]));
}

void request_make(uint64_t seed, unsigned number, struct request *ret_request)
{
	static const enum pd_level weak[] = { PD_LEVEL_NONE, PD_LEVEL_PERFORMANCE, PD_LEVEL_STANDARD };
	struct chance chance = chance_of(seed, number);
	struct deed deeds[REQUEST_COMMANDS_MAX - 1];
	unsigned count = choose_deeds(&chance, deeds);

	ret_request->number = number;
	ret_request->count = 0;
	memset(ret_request->commands, 0, sizeof ret_request->commands);
	for (unsigned i = 0; i < count; i++)
		add_deed(ret_request, seed, &deeds[i]);
	add_number(ret_request);
	ret_request->level = chance_percent(&chance, 20) ? weak[chance_below(&chance, 3)] : PD_LEVEL_STRICT;
	ret_request->idempotency_key[0] = '\0';
	if (number % 3 == 0)
		(void)snprintf(ret_request->idempotency_key, sizeof ret_request->idempotency_key,
			       "request-%u", number);
}

/* ---- state ---- */

static void do_deed(struct request_state *state, const struct deed *deed, unsigned number, unsigned command)
{
	struct request_source source = { (uint16_t)number, (uint16_t)command }, none = { 0, 0 };

	switch (deed->act) {
	case ACT_SET:
		state->strings[deed->key] = source;
		break;
	case ACT_ADD:
		state->counters[deed->key] += deed->amount;
		state->counted[deed->key] = true;
		break;
	case ACT_SET_FIELD:
		state->fields[deed->key][deed->field] = source;
		break;
	case ACT_DELETE_FIELD:
		state->fields[deed->key][deed->field] = none;
		break;
	case ACT_DELETE:
		if (deed->kind == REQUEST_STRING) {
			state->strings[deed->key] = none;
		} else if (deed->kind == REQUEST_HASH) {
			memset(state->fields[deed->key], 0, sizeof state->fields[deed->key]);
		} else {
			state->counters[deed->key] = 0;
			state->counted[deed->key] = false;
		}
		break;
	case ACT_FLUSH:
		*state = (struct request_state){ .number = state->number };
		break;
	}
}

void request_state(uint64_t seed, unsigned number, struct request_state *ret_state)
{
	*ret_state = (struct request_state){ .number = number };
	for (unsigned i = 1; i <= number; i++) {
		struct chance chance = chance_of(seed, i);
		struct deed deeds[REQUEST_COMMANDS_MAX - 1];
		unsigned count = choose_deeds(&chance, deeds);

		for (unsigned j = 0; j < count; j++)
			do_deed(ret_state, &deeds[j], i, j);
	}
}

unsigned request_state_keys(const struct request_state *state)
{
	unsigned count = state->number > 0 ? 1 : 0;

	for (unsigned i = 0; i < REQUEST_STRINGS; i++)
		count += state->strings[i].number != 0;
	for (unsigned i = 0; i < REQUEST_COUNTERS; i++)
		count += state->counted[i];
	for (unsigned i = 0; i < REQUEST_HASHES; i++) {
		bool there = false;

		for (unsigned j = 0; j < REQUEST_FIELDS; j++)
			there = there || state->fields[i][j].number != 0;
		count += there;
	}
	return count;
}
