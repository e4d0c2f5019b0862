/* CONFIG …: what is so, and the little of it that can be changed while the server runs. */
#include <stdio.h>

#include "front/resp/front_private.h"
#include "model/kv/glob.h"

#define VALUE_SIZE 4200 /* a path fits */

struct parameter {
	const char *name;
	const char *fixed; /* its value, when it is always the same */
	void (*get)(const struct pd_resp_front *front, char value[VALUE_SIZE]);
	/* NULL: cannot be changed. 0, or a negative code with words. */
	int (*set)(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err);
};

static void get_dir(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%s",
		       front->options.in_memory ? "" : front->options.data_directory);
}

static void get_bind(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%s", front->options.bind_address);
}

static void get_port(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%d", front->options.port);
}

static void get_appendonly(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%s", front->options.in_memory ? "no" : "yes");
}

/* The nearest of Redis's words for when a write is acknowledged. */
static void get_appendfsync(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	enum pd_level level = front->options.default_level;
	const char *word = "always";

	if (front->options.in_memory || level == PD_LEVEL_NONE)
		word = "no";
	else if (level == PD_LEVEL_PERFORMANCE || level == PD_LEVEL_STANDARD)
		word = "everysec";
	(void)snprintf(value, VALUE_SIZE, "%s", word);
}

static void get_durability(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%s", pd_level_name(front->options.default_level));
}

static void get_maxclients(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%u", pd_net_max_connections(front->net));
}

static void get_maxmemory(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%llu", (unsigned long long)front->options.memory_budget);
}

static void get_retention_time(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%llu", (unsigned long long)front->options.retention_s);
}

static void get_retention_size(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%llu", (unsigned long long)front->options.retention_bytes);
}

static void get_compaction_rate(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%llu", (unsigned long long)front->options.compaction_bytes_per_s);
}

static int parse_number(struct pd_slice value, int64_t least, int64_t most, int64_t *ret_number,
			struct pd_error *err)
{
	int64_t number;

	if (!pd_slice_to_int64(value, &number))
		return pd_error_set(err, PD_INVALID, "argument couldn't be parsed into an integer");
	if (number < least || number > most)
		return pd_error_set(err, PD_INVALID, "argument must be between %lld and %lld inclusive",
				    (long long)least, (long long)most);
	*ret_number = number;
	return 0;
}

static int set_maxclients(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err)
{
	int64_t number = 0;
	int result = parse_number(value, 1, UINT32_MAX, &number, err);

	return result != 0 ? result : pd_net_set_max_connections(front->net, (unsigned)number, err);
}

static void get_slower_than(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%lld", (long long)front->slowlog.slower_than_us);
}

static int set_slower_than(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err)
{
	int64_t number = 0;
	int result = parse_number(value, -1, INT64_MAX, &number, err);

	if (result == 0)
		front->slowlog.slower_than_us = number;
	return result;
}

static void get_slowlog_max(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	(void)snprintf(value, VALUE_SIZE, "%zu", front->slowlog.max);
}

static int set_slowlog_max(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err)
{
	int64_t number = 0;
	int result = parse_number(value, 0, PD_RESP_SLOWLOG_LIMIT, &number, err);

	if (result == 0)
		pd_resp_slowlog_set_max(&front->slowlog, (size_t)number);
	return result;
}

static void get_output_limit(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	const struct pd_resp_pushes *pushes = &front->pushes;

	(void)snprintf(value, VALUE_SIZE, "normal 0 0 0 slave 0 0 0 pubsub %llu %llu %llu",
		       (unsigned long long)pushes->hard_bytes, (unsigned long long)pushes->soft_bytes,
		       (unsigned long long)pushes->soft_seconds);
}

/* "33554432" or "32mb", as Redis writes sizes. */
static bool parse_size(struct pd_slice word, uint64_t *ret_size)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = { { "kb", 1u << 10 }, { "mb", 1u << 20 }, { "gb", 1u << 30 }, { "b", 1 },
		      { "k", 1000 },      { "m", 1000000 },   { "g", 1000000000 } };
	uint64_t factor = 1;
	int64_t number;

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t size = strlen(units[i].unit);

		if (word.size > size &&
		    pd_slice_equal_nocase(pd_slice(word.data + word.size - size, size), units[i].unit)) {
			factor = units[i].bytes;
			word.size -= size;
			break;
		}
	}
	if (!pd_slice_to_int64(word, &number) || number < 0 || number > INT64_MAX / (1 << 30))
		return false;
	*ret_size = (uint64_t)number * factor;
	return true;
}

static struct pd_slice next_word(struct pd_slice *rest)
{
	struct pd_slice word;

	while (rest->size > 0 && rest->data[0] == ' ')
		*rest = pd_slice(rest->data + 1, rest->size - 1);
	word = pd_slice(rest->data, 0);
	while (word.size < rest->size && rest->data[word.size] != ' ')
		word.size++;
	*rest = pd_slice(rest->data + word.size, rest->size - word.size);
	return word;
}

/* "class hard soft seconds", once or more. Other clients are not read while they do not take their replies, so there is
 * nothing to limit. */
static int set_output_limit(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err)
{
	struct pd_resp_pushes *pushes = &front->pushes;
	uint64_t limits[3] = { pushes->hard_bytes, pushes->soft_bytes, pushes->soft_seconds };
	struct pd_slice class;

	while ((class = next_word(&value)).size > 0) {
		bool pubsub = pd_slice_equal_nocase(class, "pubsub");
		bool none = pd_slice_equal_nocase(class, "normal") || pd_slice_equal_nocase(class, "slave") ||
			    pd_slice_equal_nocase(class, "replica");
		uint64_t given[3];

		for (size_t i = 0; i < 3; i++)
			if (!parse_size(next_word(&value), &given[i]) || (!pubsub && !none) ||
			    (none && given[i] != 0))
				return pd_error_set(
					err, PD_INVALID,
					"it is 'pubsub <hard limit> <soft limit> <soft seconds>'; other "
					"classes have no limits: they are not read while replies wait");
		if (pubsub)
			memcpy(limits, given, sizeof limits);
	}
	pushes->hard_bytes = limits[0];
	pushes->soft_bytes = limits[1];
	pushes->soft_seconds = limits[2] < UINT32_MAX ? limits[2] : UINT32_MAX;
	return 0;
}

static void get_notify(const struct pd_resp_front *front, char value[VALUE_SIZE])
{
	_Static_assert(PD_RESP_NOTIFY_TEXT_SIZE <= VALUE_SIZE, "the letters fit");
	pd_resp_keyspace_text(front, value);
}

static int set_notify(struct pd_resp_front *front, struct pd_slice value, struct pd_error *err)
{
	return pd_resp_keyspace_set(front, value, err);
}

/* Sorted by name. Only what is true of this server: a parameter that means nothing here is not listed. */
static const struct parameter parameters[] = {
	{ "appendfsync", NULL, get_appendfsync, NULL },
	{ "appendonly", NULL, get_appendonly, NULL },
	{ "bind", NULL, get_bind, NULL },
	{ "client-output-buffer-limit", NULL, get_output_limit, set_output_limit },
	{ "cluster-enabled", "no", NULL, NULL },
	{ "databases", "1", NULL, NULL },
	{ "dir", NULL, get_dir, NULL },
	{ "io-threads", "1", NULL, NULL },
	{ "latency-monitor-threshold", "0", NULL, NULL },
	{ "maxclients", NULL, get_maxclients, set_maxclients },
	{ "maxmemory", NULL, get_maxmemory, NULL },
	{ "maxmemory-policy", "noeviction", NULL, NULL },
	{ "notify-keyspace-events", NULL, get_notify, set_notify },
	{ "perdure-compaction-rate", NULL, get_compaction_rate, NULL },
	{ "perdure-durability", NULL, get_durability, NULL },
	{ "perdure-retention-size", NULL, get_retention_size, NULL },
	{ "perdure-retention-time", NULL, get_retention_time, NULL },
	{ "port", NULL, get_port, NULL },
	{ "proto-max-bulk-len", "536870912", NULL, NULL },
	{ "requirepass", "", NULL, NULL },
	{ "save", "", NULL, NULL },
	{ "slowlog-log-slower-than", NULL, get_slower_than, set_slower_than },
	{ "slowlog-max-len", NULL, get_slowlog_max, set_slowlog_max },
	{ "tcp-keepalive", "300", NULL, NULL },
	{ "timeout", "0", NULL, NULL },
};
#define PARAMETER_COUNT (sizeof parameters / sizeof *parameters)

static bool is_wanted(const struct pd_resp_call *call, const struct parameter *parameter)
{
	for (size_t i = 2; i < call->count; i++)
		if (pd_glob_match_nocase(call->words[i], pd_slice_string(parameter->name)))
			return true;
	return false;
}

static void get_value(const struct pd_resp_front *front, const struct parameter *parameter,
		      char value[VALUE_SIZE])
{
	if (parameter->get != NULL)
		parameter->get(front, value);
	else
		(void)snprintf(value, VALUE_SIZE, "%s", parameter->fixed);
}

static void answer_get(struct pd_resp_call *call)
{
	char value[VALUE_SIZE];
	size_t count = 0;

	for (size_t i = 0; i < PARAMETER_COUNT; i++)
		count += is_wanted(call, parameters + i);
	pd_resp_write_map(call->reply, count);
	for (size_t i = 0; i < PARAMETER_COUNT; i++) {
		if (!is_wanted(call, parameters + i))
			continue;
		get_value(call->client->front, parameters + i, value);
		pd_resp_write_bulk_string(call->reply, parameters[i].name);
		pd_resp_write_bulk_string(call->reply, value);
	}
}

static const struct parameter *find_parameter(struct pd_slice name)
{
	for (size_t i = 0; i < PARAMETER_COUNT; i++)
		if (pd_slice_equal_nocase(name, parameters[i].name))
			return parameters + i;
	return NULL;
}

/* false: the error is written. */
static bool check_setting(struct pd_resp_call *call, size_t at)
{
	const struct parameter *parameter = find_parameter(call->words[at]);
	struct pd_slice name = call->words[at];
	const char *why = NULL;
	char value[VALUE_SIZE];

	if (parameter == NULL) {
		pd_resp_write_errorf(call->reply,
				     "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
				     (int)(name.size < 128 ? name.size : 128), (const char *)name.data);
		return false;
	}
	for (size_t i = 2; i < at; i += 2)
		if (pd_slice_equal_nocase(call->words[i], parameter->name))
			why = "duplicate parameter";
	if (why == NULL && parameter->set == NULL) {
		get_value(call->client->front, parameter, value);
		/* Saying what is so already changes nothing, and tools do say it ("save" to ""). */
		if (!pd_slice_equal(call->words[at + 1], pd_slice_string(value)))
			why = "can't set immutable config";
	}
	if (why == NULL)
		return true;
	pd_resp_write_errorf(call->reply, "ERR CONFIG SET failed (possibly related to argument '%s') - %s",
			     parameter->name, why);
	return false;
}

static void answer_set(struct pd_resp_call *call)
{
	if (call->count % 2 != 0) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'config|set' command");
		return;
	}
	for (size_t i = 2; i < call->count; i += 2)
		if (!check_setting(call, i))
			return;
	for (size_t i = 2; i < call->count; i += 2) {
		const struct parameter *parameter = find_parameter(call->words[i]);
		struct pd_error err = { 0 };

		if (parameter->set == NULL ||
		    parameter->set(call->client->front, call->words[i + 1], &err) == 0)
			continue;
		pd_resp_write_errorf(call->reply,
				     "ERR CONFIG SET failed (possibly related to argument '%s') - %s",
				     parameter->name, err.text);
		return;
	}
	pd_resp_write_status(call->reply, "OK");
}

static void answer_resetstat(struct pd_resp_call *call)
{
	struct pd_resp_front *front = call->client->front;
	struct pd_net_stats stats;

	pd_net_stats(front->net, &stats);
	front->net_accepted_base = stats.accepted;
	front->net_refused_base = stats.refused;
	front->net_received_base = stats.bytes_received;
	front->net_sent_base = stats.bytes_sent;
	front->commands = 0;
	front->rejected_calls = 0;
	front->unexpected_errors = 0;
	for (size_t i = 0; i < front->registry.count; i++) {
		struct pd_resp_entry *entry = front->registry.entries + i;

		entry->calls = entry->nanoseconds = entry->rejected = entry->failed = 0;
	}
	pd_resp_write_status(call->reply, "OK");
}

static void answer_rewrite(struct pd_resp_call *call)
{
	pd_resp_write_error(call->reply, "ERR The server is running without a config file");
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"GET <pattern>",
		"    Return parameters matching the glob-like <pattern> and their values.",
		"SET <directive> <value>",
		"    Set the configuration <directive> to <value>.",
		"RESETSTAT",
		"    Reset statistics reported by the INFO command.",
	};

	pd_resp_write_help(call->reply, "CONFIG", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING | PD_COMMAND_ADMIN)
#define ROW(name, arity, since, summary, answer)       \
	{                                              \
		{ "config|" name,                      \
		  arity,                               \
		  FLAGS,                               \
		  0,                                   \
		  0,                                   \
		  0,                                   \
		  "server",                            \
		  since,                               \
		  summary,                             \
		  "O(N), N the number of parameters.", \
		  NULL },                              \
			answer, false                  \
	}

static const struct pd_resp_command commands[] = {
	ROW("get", -3, "2.0.0", "Returns the effective values of configuration parameters.", answer_get),
	ROW("help", 2, "5.0.0", "Returns helpful text about the different subcommands.", answer_help),
	ROW("resetstat", 2, "2.0.0", "Resets the server's statistics.", answer_resetstat),
	ROW("rewrite", 2, "2.8.0", "Persists the configuration to a file; there is none.", answer_rewrite),
	ROW("set", -4, "2.0.0", "Sets configuration parameters in-flight.", answer_set),
};

const struct pd_resp_commands pd_resp_commands_config = { commands, sizeof commands / sizeof *commands };
