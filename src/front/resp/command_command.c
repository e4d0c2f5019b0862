/* COMMAND …: what this door understands. */
#include <stdio.h>

#include "front/resp/front_private.h"
#include "front/resp/syntax.h"
#include "model/kv/glob.h"

struct flag_name {
	unsigned flag;
	const char *name;
};

static const struct flag_name flag_names[] = {
	{ PD_COMMAND_WRITE, "write" },      { PD_COMMAND_READONLY, "readonly" },
	{ PD_COMMAND_DENY_OOM, "denyoom" }, { PD_COMMAND_ADMIN, "admin" },
	{ PD_COMMAND_PUBSUB, "pubsub" },    { PD_COMMAND_LOADING, "loading" },
	{ PD_COMMAND_FAST, "fast" },        { PD_COMMAND_NO_MULTI, "no_multi" },
};
#define FLAG_COUNT (sizeof flag_names / sizeof *flag_names)

/* The categories of Redis's access control that a command belongs to. */
static size_t categories(const struct pd_command *command, const char *names[8])
{
	static const struct {
		const char *group, *category;
	} of_group[] = {
		{ "generic", "@keyspace" },
		{ "string", "@string" },
		{ "hash", "@hash" },
		{ "list", "@list" },
		{ "set", "@set" },
		{ "sorted-set", "@sortedset" },
		{ "stream", "@stream" },
		{ "bitmap", "@bitmap" },
		{ "connection", "@connection" },
		{ "transactions", "@transaction" },
	};
	size_t count = 0;
	bool container = command->evaluate == NULL && (command->flags & PD_COMMAND_CONNECTION) == 0;

	if ((command->flags & PD_COMMAND_WRITE) != 0)
		names[count++] = "@write";
	if ((command->flags & PD_COMMAND_READONLY) != 0)
		names[count++] = "@read";
	for (size_t i = 0; i < sizeof of_group / sizeof *of_group; i++)
		if (!container && strcmp(command->group, of_group[i].group) == 0)
			names[count++] = of_group[i].category;
	if ((command->flags & PD_COMMAND_KEYSPACE) != 0)
		names[count++] = "@keyspace";
	if ((command->flags & PD_COMMAND_PUBSUB) != 0)
		names[count++] = "@pubsub";
	if ((command->flags & PD_COMMAND_ADMIN) != 0)
		names[count++] = "@admin";
	if ((command->flags & (PD_COMMAND_ADMIN | PD_COMMAND_DANGEROUS)) != 0)
		names[count++] = "@dangerous";
	names[count++] = (command->flags & PD_COMMAND_FAST) != 0 ? "@fast" : "@slow";
	return count;
}

/* The subcommands lie behind their container: the table is sorted. */
static size_t subcommand_count(const struct pd_resp_registry *registry, const struct pd_resp_entry *entry)
{
	size_t index = (size_t)(entry - registry->entries), count = 0;
	size_t size = strlen(entry->name.text);

	if (!entry->container)
		return 0;
	for (size_t i = index + 1; i < registry->count; i++) {
		const char *name = registry->entries[i].name.text;

		if (strncmp(name, entry->name.text, size) == 0 && name[size] == '|')
			count++;
	}
	return count;
}

/* One command without its subcommands: nine of the ten fields. */
static void write_fields(struct pd_resp_writer *reply, const struct pd_command *command)
{
	const struct pd_resp_syntax *syntax = pd_resp_syntax_find(command->name);
	const char *names[8];
	size_t count = 0;

	pd_resp_write_array(reply, 10);
	pd_resp_write_bulk_string(reply, command->name);
	pd_resp_write_integer(reply, command->arity);
	for (size_t i = 0; i < FLAG_COUNT; i++)
		count += (command->flags & flag_names[i].flag) != 0;
	pd_resp_write_set(reply, count);
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if ((command->flags & flag_names[i].flag) != 0)
			pd_resp_write_status(reply, flag_names[i].name);
	pd_resp_write_integer(reply, command->first_key);
	pd_resp_write_integer(reply, command->last_key);
	pd_resp_write_integer(reply, command->key_step);
	count = categories(command, names);
	pd_resp_write_set(reply, count);
	for (size_t i = 0; i < count; i++)
		pd_resp_write_status(reply, names[i]);
	pd_resp_write_array(reply, 0); /* tips */
	pd_resp_syntax_write_keys(reply, syntax != NULL ? syntax->keys : "");
}

static void write_info(const struct pd_resp_registry *registry, const struct pd_resp_entry *entry,
		       struct pd_resp_writer *reply)
{
	size_t count = subcommand_count(registry, entry);

	write_fields(reply, &entry->command);
	pd_resp_write_array(reply, count);
	for (size_t i = 0; count > 0 && i < registry->count; i++) {
		const struct pd_resp_entry *other = registry->entries + i;
		size_t size = strlen(entry->name.text);

		if (strncmp(other->name.text, entry->name.text, size) != 0 || other->name.text[size] != '|')
			continue;
		write_fields(reply, &other->command);
		pd_resp_write_array(reply, 0);
	}
}

static size_t top_count(const struct pd_resp_registry *registry)
{
	size_t count = 0;

	for (size_t i = 0; i < registry->count; i++)
		count += !registry->entries[i].subcommand;
	return count;
}

static void write_all_infos(struct pd_resp_call *call)
{
	const struct pd_resp_registry *registry = &call->client->front->registry;

	pd_resp_write_array(call->reply, top_count(registry));
	for (size_t i = 0; i < registry->count; i++)
		if (!registry->entries[i].subcommand)
			write_info(registry, registry->entries + i, call->reply);
}

static void answer_command(struct pd_resp_call *call)
{
	write_all_infos(call);
}

static void answer_count(struct pd_resp_call *call)
{
	pd_resp_write_integer(call->reply, (int64_t)top_count(&call->client->front->registry));
}

static void answer_info(struct pd_resp_call *call)
{
	const struct pd_resp_registry *registry = &call->client->front->registry;

	if (call->count == 2) {
		write_all_infos(call);
		return;
	}
	pd_resp_write_array(call->reply, call->count - 2);
	for (size_t i = 2; i < call->count; i++) {
		const struct pd_resp_entry *entry = pd_resp_registry_name(registry, call->words[i]);

		if (entry == NULL)
			pd_resp_write_null(call->reply);
		else
			write_info(registry, entry, call->reply);
	}
}

/* ---- LIST ---- */

static bool in_category(const struct pd_command *command, struct pd_slice category)
{
	const char *names[8];
	size_t count = categories(command, names);

	for (size_t i = 0; i < count; i++)
		if (pd_slice_equal_nocase(category, names[i] + 1))
			return true;
	return false;
}

enum list_filter { ALL, BY_PATTERN, BY_CATEGORY, BY_MODULE };

static bool is_listed(const struct pd_resp_entry *entry, enum list_filter filter, struct pd_slice value)
{
	switch (filter) {
	case ALL:
		return !entry->subcommand;
	case BY_PATTERN:
		return pd_glob_match_nocase(value, pd_slice_string(entry->name.text));
	case BY_CATEGORY:
		return in_category(&entry->command, value);
	case BY_MODULE:
		break;
	}
	return false;
}

static void answer_list(struct pd_resp_call *call)
{
	const struct pd_resp_registry *registry = &call->client->front->registry;
	enum list_filter filter = ALL;
	struct pd_slice value = { 0 };
	size_t count = 0;

	if (call->count > 2) {
		bool known = call->count == 5 && pd_slice_equal_nocase(call->words[2], "filterby");

		if (known && pd_slice_equal_nocase(call->words[3], "pattern"))
			filter = BY_PATTERN;
		else if (known && pd_slice_equal_nocase(call->words[3], "aclcat"))
			filter = BY_CATEGORY;
		else if (known && pd_slice_equal_nocase(call->words[3], "module"))
			filter = BY_MODULE;
		if (filter == ALL) {
			pd_resp_write_error(call->reply, "ERR syntax error");
			return;
		}
		value = call->words[4];
	}
	for (size_t i = 0; i < registry->count; i++)
		count += is_listed(registry->entries + i, filter, value);
	pd_resp_write_array(call->reply, count);
	for (size_t i = 0; i < registry->count; i++)
		if (is_listed(registry->entries + i, filter, value))
			pd_resp_write_bulk_string(call->reply, registry->entries[i].name.text);
}

/* ---- DOCS ---- */

static void write_docs(const struct pd_resp_registry *registry, const struct pd_resp_entry *entry,
		       struct pd_resp_writer *reply)
{
	const struct pd_resp_syntax *syntax = pd_resp_syntax_find(entry->name.text);
	const struct pd_command *command = &entry->command;
	size_t count = subcommand_count(registry, entry);
	size_t size = strlen(entry->name.text);
	bool has_arguments = syntax != NULL && syntax->arguments[0] != '\0';

	pd_resp_write_bulk_string(reply, command->name);
	pd_resp_write_map(reply, 4 + (size_t)has_arguments + (count > 0));
	pd_resp_write_bulk_string(reply, "summary");
	pd_resp_write_bulk_string(reply, command->summary);
	pd_resp_write_bulk_string(reply, "since");
	pd_resp_write_bulk_string(reply, command->since);
	pd_resp_write_bulk_string(reply, "group");
	pd_resp_write_bulk_string(reply, command->group);
	pd_resp_write_bulk_string(reply, "complexity");
	pd_resp_write_bulk_string(reply, command->complexity);
	if (has_arguments) {
		pd_resp_write_bulk_string(reply, "arguments");
		pd_resp_syntax_write_arguments(reply, syntax->arguments);
	}
	if (count == 0)
		return;
	pd_resp_write_bulk_string(reply, "subcommands");
	pd_resp_write_map(reply, count);
	for (size_t i = 0; i < registry->count; i++) {
		const struct pd_resp_entry *other = registry->entries + i;

		/* One level: a subcommand has none. */
		if (strncmp(other->name.text, entry->name.text, size) == 0 && other->name.text[size] == '|')
			write_docs(registry, other, reply);
	}
}

static void answer_docs(struct pd_resp_call *call)
{
	const struct pd_resp_registry *registry = &call->client->front->registry;
	size_t known = 0;

	if (call->count == 2) {
		pd_resp_write_map(call->reply, top_count(registry));
		for (size_t i = 0; i < registry->count; i++)
			if (!registry->entries[i].subcommand)
				write_docs(registry, registry->entries + i, call->reply);
		return;
	}
	for (size_t i = 2; i < call->count; i++)
		known += pd_resp_registry_name(registry, call->words[i]) != NULL;
	pd_resp_write_map(call->reply, known);
	for (size_t i = 2; i < call->count; i++) {
		const struct pd_resp_entry *entry = pd_resp_registry_name(registry, call->words[i]);

		if (entry != NULL)
			write_docs(registry, entry, call->reply);
	}
}

/* ---- GETKEYS ---- */

/* The words behind COMMAND GETKEYS as a request of its own. NULL: the error is written. */
static const struct pd_resp_entry *find_with_keys(struct pd_resp_call *call)
{
	const struct pd_resp_entry *container, *entry;
	const struct pd_resp_syntax *syntax;
	size_t count = call->count - 2;

	entry = pd_resp_registry_find(&call->client->front->registry, call->words + 2, count, &container);
	if (entry == NULL) {
		pd_resp_write_error(call->reply, "ERR Invalid command specified");
		return NULL;
	}
	syntax = pd_resp_syntax_find(entry->name.text);
	if (syntax == NULL || syntax->keys[0] == '\0' || strstr(syntax->keys, "not_key") != NULL) {
		pd_resp_write_error(call->reply, "ERR The command has no key arguments");
		return NULL;
	}
	if (!pd_resp_entry_takes(entry, count)) {
		pd_resp_write_error(call->reply, "ERR Invalid number of arguments specified for command");
		return NULL;
	}
	return entry;
}

static bool has_word(const struct pd_resp_call *call, size_t from, const char *word)
{
	for (size_t i = from; i < call->count; i++)
		if (pd_slice_equal_nocase(call->words[i], word))
			return true;
	return false;
}

/* What two commands do to their key depends on their options. */
static struct pd_slice flags_of(const struct pd_resp_call *call, const struct pd_resp_entry *entry,
				const struct pd_resp_keys *keys)
{
	if (strcmp(entry->name.text, "set") == 0)
		return pd_slice_string(has_word(call, 5, "get") ? "RW access update" : "OW update");
	if (strcmp(entry->name.text, "bitfield") == 0)
		return pd_slice_string(has_word(call, 4, "set") || has_word(call, 4, "incrby")
					       ? "RW access update"
					       : "RO access");
	return keys->flags;
}

/* The keys of one specification; `write` false: only count them. */
static size_t write_keys(struct pd_resp_call *call, const struct pd_resp_entry *entry,
			 const struct pd_resp_keys *keys, bool with_flags, bool write)
{
	size_t count = call->count - 2, step = (size_t)keys->step, found = 0;
	size_t last = keys->last < 0 ? count - (size_t)-keys->last : (size_t)(keys->first + keys->last);

	for (size_t i = (size_t)keys->first; i <= last; i += step, found++) {
		if (!write)
			continue;
		if (with_flags)
			pd_resp_write_array(call->reply, 2);
		pd_resp_write_bulk(call->reply, call->words[2 + i]);
		if (with_flags)
			pd_resp_syntax_write_flags(call->reply, flags_of(call, entry, keys));
	}
	return found;
}

static void answer_keys(struct pd_resp_call *call, bool with_flags)
{
	const struct pd_resp_entry *entry = find_with_keys(call);
	struct pd_resp_keys keys;
	const char *rest;
	size_t count = 0;

	if (entry == NULL)
		return;
	rest = pd_resp_syntax_find(entry->name.text)->keys;
	while (pd_resp_syntax_next_keys(&rest, &keys))
		count += write_keys(call, entry, &keys, with_flags, false);
	pd_resp_write_array(call->reply, count);
	rest = pd_resp_syntax_find(entry->name.text)->keys;
	while (pd_resp_syntax_next_keys(&rest, &keys))
		(void)write_keys(call, entry, &keys, with_flags, true);
}

static void answer_getkeys(struct pd_resp_call *call)
{
	answer_keys(call, false);
}

static void answer_getkeysandflags(struct pd_resp_call *call)
{
	answer_keys(call, true);
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"(no subcommand)",
		"    Return details about all commands.",
		"COUNT",
		"    Return the total number of commands in this server.",
		"LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <value>]",
		"    Return a list of all commands in this server.",
		"INFO [<command-name> ...]",
		"    Return details about commands; without names, about all.",
		"DOCS [<command-name> ...]",
		"    Return documentation of commands; without names, of all.",
		"GETKEYS <full-command>",
		"    Return the keys from a full command.",
		"GETKEYSANDFLAGS <full-command>",
		"    Return the keys from a full command, and what it does to them.",
	};

	pd_resp_write_help(call->reply, "COMMAND", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING)
#define ROW(name, arity, since, summary, answer)                                                            \
	{                                                                                                   \
		{ name, arity, FLAGS, 0, 0, 0, "server", since, summary, "O(N), N the number of commands.", \
		  NULL },                                                                                   \
			answer, false                                                                       \
	}

static const struct pd_resp_command commands[] = {
	ROW("command", -1, "2.8.13", "Returns detailed information about all commands.", answer_command),
	ROW("command|count", 2, "2.8.13", "Returns a count of commands.", answer_count),
	ROW("command|docs", -2, "7.0.0", "Returns documentary information about commands.", answer_docs),
	ROW("command|getkeys", -4, "2.8.13", "Extracts the key names from an arbitrary command.",
	    answer_getkeys),
	ROW("command|getkeysandflags", -4, "7.0.0", "Extracts the key names and what is done to them.",
	    answer_getkeysandflags),
	ROW("command|help", 2, "5.0.0", "Returns helpful text about the different subcommands.", answer_help),
	ROW("command|info", -2, "2.8.13", "Returns information about commands.", answer_info),
	ROW("command|list", -2, "7.0.0", "Returns a list of command names.", answer_list),
};

const struct pd_resp_commands pd_resp_commands_command = { commands, sizeof commands / sizeof *commands };
