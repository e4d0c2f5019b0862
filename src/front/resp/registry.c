#include "front/resp/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

union name {
	char text[PD_RESP_NAME_SIZE];
	uint64_t words[PD_RESP_NAME_SIZE / 8];
};

/* Eight ASCII bytes to lower case at once: a byte c is a capital when c + 0x3f has its high bit set ('A' and above)
 * and c + 0x25 has not (up to 'Z'), c itself being below 0x80. */
static inline uint64_t lower_word(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t seven = word & (0x7f * ones);
	uint64_t capital = (seven + 0x3f * ones) & ~(seven + 0x25 * ones) & ~word & (0x80 * ones);

	return word | (capital >> 2);
}

static inline uint64_t hash_name(const union name *name)
{
	uint64_t hash = name->words[0] * 0x9e3779b97f4a7c15u;

	hash = (hash ^ (hash >> 32) ^ name->words[1]) * 0xc2b2ae3d27d4eb4fu;
	hash = (hash ^ (hash >> 29) ^ name->words[2]) * 0x165667b19e3779f9u;
	hash = (hash ^ (hash >> 32) ^ name->words[3]) * 0x9e3779b97f4a7c15u;
	return hash ^ (hash >> 31);
}

static inline bool same_name(const union name *name, const struct pd_resp_entry *entry)
{
	return name->words[0] == entry->name.words[0] && name->words[1] == entry->name.words[1] &&
	       name->words[2] == entry->name.words[2] && name->words[3] == entry->name.words[3];
}

static inline void lower_name(union name *name)
{
	for (size_t i = 0; i < PD_RESP_NAME_SIZE / 8; i++)
		name->words[i] = lower_word(name->words[i]);
}

/* false: too long to be a name. A NUL inside would make two names look alike, and is in none. */
static inline bool make_name(struct pd_slice text, union name *ret_name)
{
	union name name = { .words = { 0 } };

	if (text.size == 0 || text.size >= PD_RESP_NAME_SIZE || text.data[text.size - 1] == '\0')
		return false;
	memcpy(name.text, text.data, text.size);
	lower_name(&name);
	*ret_name = name;
	return true;
}

static struct pd_resp_entry *look_up(const struct pd_resp_registry *registry, const union name *name)
{
	size_t slot = (size_t)hash_name(name) & registry->mask;

	while (registry->slots[slot] != 0) {
		struct pd_resp_entry *entry = registry->entries + registry->slots[slot] - 1;

		if (same_name(name, entry))
			return entry;
		slot = (slot + 1) & registry->mask;
	}
	return NULL;
}

struct pd_resp_entry *pd_resp_registry_name(const struct pd_resp_registry *registry, struct pd_slice text)
{
	union name name;

	return make_name(text, &name) ? look_up(registry, &name) : NULL;
}

struct pd_resp_entry *pd_resp_registry_find(const struct pd_resp_registry *registry,
					    const struct pd_slice *words, size_t count,
					    const struct pd_resp_entry **ret_container)
{
	struct pd_resp_entry *entry;
	union name name;
	size_t size = words[0].size;

	*ret_container = NULL;
	if (!make_name(words[0], &name))
		return NULL;
	entry = look_up(registry, &name);
	if (entry == NULL || entry->subcommand)
		return NULL; /* "config|get" as one word is no request */
	if (!entry->container || count == 1)
		return entry;
	*ret_container = entry;
	if (words[1].size == 0 || size + 1 + words[1].size >= PD_RESP_NAME_SIZE ||
	    words[1].data[words[1].size - 1] == '\0')
		return NULL;
	name.text[size] = '|';
	memcpy(name.text + size + 1, words[1].data, words[1].size);
	lower_name(&name);
	return look_up(registry, &name);
}

/* ---- building ---- */

void pd_resp_registry_init(struct pd_resp_registry *registry)
{
	*registry = (struct pd_resp_registry){ 0 };
}

void pd_resp_registry_done(struct pd_resp_registry *registry)
{
	pd_free(registry->entries);
	pd_free(registry->slots);
	*registry = (struct pd_resp_registry){ 0 };
}

int pd_resp_registry_add(struct pd_resp_registry *registry, const struct pd_command *command,
			 const void *answer, struct pd_error *err)
{
	struct pd_resp_entry *entry;
	union name name;

	if (!make_name(pd_slice_string(command->name), &name))
		return pd_error_set(err, PD_INVALID, "\"%s\" is too long for a command's name",
				    command->name);
	if (registry->count == registry->capacity) {
		size_t capacity = registry->capacity == 0 ? 256 : registry->capacity * 2;
		struct pd_resp_entry *grown = pd_realloc(registry->entries, capacity * sizeof *grown);

		if (grown == NULL)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for the table of commands");
		registry->entries = grown;
		registry->capacity = capacity;
	}
	entry = registry->entries + registry->count++;
	*entry = (struct pd_resp_entry){ .command = *command, .answer = answer };
	memcpy(entry->name.words, name.words, sizeof name.words);
	entry->subcommand = strchr(command->name, '|') != NULL;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pd_resp_entry *)a)->name.text,
		      ((const struct pd_resp_entry *)b)->name.text);
}

static struct pd_resp_entry *search(struct pd_resp_registry *registry, const char *name, size_t size)
{
	for (size_t i = 0; i < registry->count; i++)
		if (strncmp(registry->entries[i].name.text, name, size) == 0 &&
		    registry->entries[i].name.text[size] == '\0')
			return registry->entries + i;
	return NULL;
}

/* Make sure that each "name|…" has its "name". */
static int link_containers(struct pd_resp_registry *registry, struct pd_error *err)
{
	size_t count = registry->count;

	for (size_t i = 0; i < count; i++) {
		const char *name = registry->entries[i].name.text;
		size_t size = strcspn(name, "|");
		char bare_name[PD_RESP_NAME_SIZE];
		struct pd_resp_entry *container;
		int result;

		if (name[size] == '\0')
			continue;
		container = search(registry, name, size);
		if (container == NULL) {
			struct pd_command bare = registry->entries[i].command;

			memcpy(bare_name, name, size);
			bare_name[size] = '\0';
			bare.name = bare_name;
			bare.arity = -2;
			bare.flags = 0;
			bare.first_key = bare.last_key = bare.key_step = 0;
			bare.summary = "A container for subcommands";
			bare.complexity = "Depends on subcommand.";
			bare.evaluate = NULL;
			result = pd_resp_registry_add(registry, &bare, NULL, err);
			if (result != 0)
				return result;
			container = registry->entries + registry->count - 1;
		}
		container->container = true;
	}
	return 0;
}

int pd_resp_registry_seal(struct pd_resp_registry *registry, struct pd_error *err)
{
	size_t slots = 64;
	int result = link_containers(registry, err);

	if (result != 0)
		return result;
	while (slots < registry->count * 4)
		slots *= 2;
	registry->slots = pd_calloc(slots, sizeof *registry->slots);
	if (registry->slots == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the table of commands");
	registry->mask = slots - 1;
	qsort(registry->entries, registry->count, sizeof *registry->entries, by_name);
	for (size_t i = 0; i < registry->count; i++) {
		struct pd_resp_entry *entry = registry->entries + i;
		union name name;
		size_t slot;

		memcpy(&name, &entry->name, sizeof name);
		if (look_up(registry, &name) != NULL)
			return pd_error_set(err, PD_EXISTS, "two commands are called \"%s\"",
					    entry->name.text);
		entry->command.name = entry->name.text;
		slot = (size_t)hash_name(&name) & registry->mask;
		while (registry->slots[slot] != 0)
			slot = (slot + 1) & registry->mask;
		registry->slots[slot] = (uint16_t)(i + 1);
	}
	return 0;
}
