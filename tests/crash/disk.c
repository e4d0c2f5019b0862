#include "disk.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "must.h"

/* One write of many blocks is cut into no more units than this. */
#define PARTS_MAX 32u

const char *const disk_model_names[DISK_MODELS] = { "ordered", "lenient", "free", "posix" };

/* ---- names ---- */

static struct disk_name *find(const struct disk_names *names, const char *text, size_t size)
{
	for (size_t i = 0; i < names->count; i++)
		if (strncmp(names->items[i].text, text, size) == 0 && names->items[i].text[size] == '\0')
			return &names->items[i];
	return NULL;
}

void disk_names_put(struct disk_names *names, const char *text, uint32_t node)
{
	struct disk_name *name = find(names, text, strlen(text));

	if (name == NULL) {
		MUST_GROW(names->items, names->count, names->room);
		name = &names->items[names->count++];
		name->text = text;
	}
	name->node = node;
}

void disk_names_remove(struct disk_names *names, const char *text, uint32_t node)
{
	struct disk_name *name = find(names, text, strlen(text));

	if (name != NULL && name->node == node)
		*name = names->items[--names->count];
}

static uint32_t new_node(struct disk *disk, bool directory)
{
	MUST_GROW(disk->nodes, disk->node_count, disk->node_room);
	disk->nodes[disk->node_count] = (struct disk_node){ .directory = directory };
	return (uint32_t)disk->node_count++;
}

/* Where a path leads, as the process sees it: the directory of its last part, that part, and its node, 0 for none. */
struct place {
	uint32_t directory, node;
	const char *name; /* "" for the directory itself */
};

static struct place look_up(const struct disk *disk, const char *path)
{
	struct place place = { 0, DISK_ROOT, path };

	while (*place.name != '\0') {
		size_t size = strcspn(place.name, "/");
		const struct disk_name *name;

		if (place.node == 0 || !disk->nodes[place.node].directory)
			die("the trace uses '%s', where no directory is", path);
		place.directory = place.node;
		name = find(&disk->nodes[place.node].seen, place.name, size);
		place.node = name != NULL ? name->node : 0;
		if (place.name[size] == '\0')
			break;
		place.name += size + 1;
	}
	return place;
}

static void must_be(uint32_t node, const char *path)
{
	if (node == 0)
		die("the trace uses '%s', which it has not made", path);
}

/* ---- what is stable ---- */

static void set_size(struct disk_node *node, uint64_t size)
{
	if (size > node->room) {
		node->data = must_resize(node->data, size);
		node->room = size;
	}
	if (size > node->size)
		memset(node->data + node->size, 0, size - node->size);
	node->size = size;
	node->hashed = false;
}

/* The unit is stable now. Data comes before the size that it needs, so it may grow the file for a moment. */
static void settle(struct disk *disk, const struct disk_unit *unit)
{
	struct disk_node *node = &disk->nodes[unit->node];

	switch (unit->kind) {
	case UNIT_DATA:
		if (unit->offset + unit->size > node->size)
			set_size(node, unit->offset + unit->size);
		if (unit->data != NULL)
			memcpy(node->data + unit->offset, unit->data, unit->size);
		else
			memset(node->data + unit->offset, 0, unit->size);
		node->hashed = false;
		break;
	case UNIT_SIZE:
		set_size(node, unit->size);
		break;
	case UNIT_ADD:
		disk_names_put(&disk->nodes[unit->directory].stable, unit->name, unit->node);
		break;
	case UNIT_REMOVE:
		disk_names_remove(&disk->nodes[unit->directory].stable, unit->name, unit->node);
		break;
	case UNIT_MOVE:
		disk_names_remove(&disk->nodes[unit->directory].stable, unit->name, unit->node);
		disk_names_put(&disk->nodes[unit->to_directory].stable, unit->to_name, unit->node);
		break;
	}
}

/* What a sync reaches. */
struct reach {
	uint32_t file; /* 0: every one */
	uint64_t from, to;
	uint32_t directory; /* 0: every one */
	bool files, names;  /* of directories */
	bool own_names;     /* of the file */
};

static bool reached(struct disk_unit *unit, const struct reach *reach)
{
	if (unit->kind == UNIT_DATA)
		return reach->files && (reach->file == 0 || unit->node == reach->file) &&
		       unit->offset < reach->to && unit->offset + unit->size > reach->from;
	if (unit->kind == UNIT_SIZE)
		return reach->files && (reach->file == 0 || unit->node == reach->file);
	if (reach->own_names && unit->node == reach->file)
		return true;
	if (!reach->names)
		return false;
	if (reach->directory == 0)
		return true;
	if (unit->kind != UNIT_MOVE)
		return unit->directory == reach->directory;
	unit->directory_synced |= unit->directory == reach->directory;
	unit->to_directory_synced |= unit->to_directory == reach->directory;
	return unit->directory_synced && unit->to_directory_synced;
}

static void sync_reach(struct disk *disk, const struct reach *reach)
{
	size_t kept = 0;

	for (size_t i = 0; i < disk->unit_count; i++) {
		if (reached(&disk->units[i], reach))
			settle(disk, &disk->units[i]);
		else
			disk->units[kept++] = disk->units[i];
	}
	disk->unit_count = kept;
}

static bool is_lie(const struct disk *disk, enum disk_lie_kind kind, const char *path)
{
	const char *const pattern[2] = { disk->lie.on, NULL };

	return (disk->lie.kinds & kind) != 0 && (disk->lie.on == NULL || trace_ignores(pattern, path));
}

static void sync_node(struct disk *disk, uint32_t node, const char *path, uint64_t from, uint64_t to)
{
	bool directory = disk->nodes[node].directory;
	struct reach reach = { .file = node, .from = from, .to = to, .files = !directory };

	if (is_lie(disk, directory ? DISK_LIE_DIRECTORY : DISK_LIE_FILE, path))
		return;
	/* Whatever is synced, a journal commits all names with it. */
	reach.names = directory || disk->model == DISK_ORDERED;
	reach.directory = disk->model == DISK_ORDERED ? 0 : node;
	reach.own_names = !directory && disk->model == DISK_FREE;
	sync_reach(disk, &reach);
}

static void sync_all(struct disk *disk)
{
	sync_reach(disk, &(struct reach){ .to = UINT64_MAX,
					  .files = (disk->lie.kinds & DISK_LIE_FILE) == 0,
					  .names = (disk->lie.kinds & DISK_LIE_DIRECTORY) == 0 });
}

/* ---- what is not yet stable ---- */

static void add_unit(struct disk *disk, struct disk_unit unit)
{
	MUST_GROW(disk->units, disk->unit_count, disk->unit_room);
	disk->units[disk->unit_count++] = unit;
}

static void add_size(struct disk *disk, uint32_t file, uint64_t size)
{
	struct disk_node *node = &disk->nodes[file];

	if (size != node->seen_size)
		add_unit(disk,
			 (struct disk_unit){
				 .kind = UNIT_SIZE, .node = file, .offset = node->seen_size, .size = size });
	node->seen_size = size;
}

static void add_data(struct disk *disk, uint32_t file, const uint8_t *data, uint64_t offset, uint64_t size)
{
	uint64_t blocks = (offset + size + DISK_BLOCK - 1) / DISK_BLOCK - offset / DISK_BLOCK;
	uint64_t part = (blocks + PARTS_MAX - 1) / PARTS_MAX * DISK_BLOCK, end = offset + size;

	while (offset < end) {
		uint64_t here = part - offset % DISK_BLOCK;

		if (here > end - offset)
			here = end - offset;
		add_unit(disk, (struct disk_unit){ .kind = UNIT_DATA,
						   .node = file,
						   .offset = offset,
						   .size = here,
						   .data = data,
						   .appends = offset + here > disk->nodes[file].size });
		offset += here;
		if (data != NULL)
			data += here;
		if (offset > disk->nodes[file].seen_size)
			add_size(disk, file, offset);
	}
}

static uint32_t add_name(struct disk *disk, const struct place *place, uint32_t node)
{
	add_unit(disk, (struct disk_unit){ .kind = UNIT_ADD,
					   .node = node,
					   .directory = place->directory,
					   .name = place->name });
	disk_names_put(&disk->nodes[place->directory].seen, place->name, node);
	return node;
}

static void remove_name(struct disk *disk, const struct place *place)
{
	add_unit(disk, (struct disk_unit){ .kind = UNIT_REMOVE,
					   .node = place->node,
					   .directory = place->directory,
					   .name = place->name });
	disk_names_remove(&disk->nodes[place->directory].seen, place->name, place->node);
}

/* ---- steps ---- */

static void step_open(struct disk *disk, const struct step *step)
{
	struct place place = look_up(disk, step->path);

	if (place.node == 0 && step->create)
		place.node = add_name(disk, &place, new_node(disk, false));
	must_be(place.node, step->path);
	if (step->truncate)
		add_size(disk, place.node, 0);
	disk->handles[step->handle] = place.node;
	disk->paths[step->handle] = step->path;
}

static void step_rename(struct disk *disk, const struct step *step)
{
	struct place from = look_up(disk, step->path), to = look_up(disk, step->to_path);

	must_be(from.node, step->path);
	if (from.node == to.node)
		return;
	add_unit(disk, (struct disk_unit){ .kind = UNIT_MOVE,
					   .node = from.node,
					   .directory = from.directory,
					   .name = from.name,
					   .to_directory = to.directory,
					   .to_name = to.name });
	disk_names_remove(&disk->nodes[from.directory].seen, from.name, from.node);
	disk_names_put(&disk->nodes[to.directory].seen, to.name, from.node);
}

static void step_names(struct disk *disk, const struct step *step)
{
	struct place place = look_up(disk, step->path);

	if (step->kind == STEP_MKDIR) {
		add_name(disk, &place, new_node(disk, true));
		return;
	}
	must_be(place.node, step->path);
	if (step->kind == STEP_REMOVE) {
		remove_name(disk, &place);
	} else {
		struct place to = look_up(disk, step->to_path);

		add_name(disk, &to, place.node);
	}
}

static void step_data(struct disk *disk, const struct step *step)
{
	uint32_t node = disk->handles[step->handle];

	must_be(node, "a handle");
	switch (step->kind) {
	case STEP_WRITE:
	case STEP_ZERO:
		add_data(disk, node, step->data, step->offset, step->length);
		break;
	case STEP_RESIZE:
		add_size(disk, node, step->offset);
		break;
	case STEP_GROW:
		if (step->offset > disk->nodes[node].seen_size)
			add_size(disk, node, step->offset);
		break;
	case STEP_SYNC_RANGE:
		sync_node(disk, node, disk->paths[step->handle], step->offset, step->offset + step->length);
		break;
	default:
		sync_node(disk, node, disk->paths[step->handle], 0, UINT64_MAX);
		break;
	}
}

void disk_go(struct disk *disk, size_t steps)
{
	for (; disk->steps < steps; disk->steps++) {
		const struct step *step = &disk->trace->steps[disk->steps];

		switch (step->kind) {
		case STEP_OPEN:
			step_open(disk, step);
			break;
		case STEP_RENAME:
			step_rename(disk, step);
			break;
		case STEP_MKDIR:
		case STEP_REMOVE:
		case STEP_LINK:
			step_names(disk, step);
			break;
		case STEP_SYNC_ALL:
			sync_all(disk);
			break;
		default:
			step_data(disk, step);
			break;
		}
	}
}

/* ---- what depends on what ---- */

static bool one_block(const struct disk_unit *a, const struct disk_unit *b)
{
	return a->offset / DISK_BLOCK <= (b->offset + b->size - 1) / DISK_BLOCK &&
	       b->offset / DISK_BLOCK <= (a->offset + a->size - 1) / DISK_BLOCK;
}

static bool file_needs(const struct disk *disk, const struct disk_unit *unit, const struct disk_unit *earlier)
{
	if (unit->node != earlier->node)
		return false;
	if (unit->kind == UNIT_DATA)
		return earlier->kind == UNIT_DATA ? one_block(unit, earlier)
						  : earlier->size < earlier->offset;
	if (earlier->kind == UNIT_SIZE)
		return true;
	return disk->model != DISK_POSIX && earlier->appends;
}

static bool in_directory(const struct disk_unit *unit, uint32_t directory)
{
	return unit->directory == directory || (unit->kind == UNIT_MOVE && unit->to_directory == directory);
}

bool disk_needs(const struct disk *disk, const struct disk_unit *unit, const struct disk_unit *earlier)
{
	bool of_file = unit->kind <= UNIT_SIZE;

	if (of_file != (earlier->kind <= UNIT_SIZE))
		return false;
	if (of_file)
		return file_needs(disk, unit, earlier);
	switch (disk->model) {
	case DISK_ORDERED:
		return true;
	case DISK_LENIENT:
		return in_directory(earlier, unit->directory) ||
		       (unit->kind == UNIT_MOVE && in_directory(earlier, unit->to_directory));
	default:
		return unit->node == earlier->node;
	}
}

/* ---- life ---- */

static const char *keep_text(struct disk *disk, const char *text)
{
	MUST_GROW(disk->texts, disk->text_count, disk->text_room);
	disk->texts[disk->text_count] = must_print("%s", text);
	return disk->texts[disk->text_count++];
}

static void load_file(struct disk_node *node, const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat info;

	if (file == NULL || fstat(fileno(file), &info) != 0)
		die("cannot read '%s'", path);
	set_size(node, (uint64_t)info.st_size);
	node->seen_size = node->size;
	if (fread(node->data, 1, node->size, file) != node->size)
		die("cannot read '%s'", path);
	fclose(file);
}

static void load_directory(struct disk *disk, uint32_t directory, const char *path,
			   const char *const *ignored)
{
	DIR *stream = opendir(path);
	struct dirent *entry;

	if (stream == NULL)
		die("cannot read the directory '%s'", path);
	while ((entry = readdir(stream)) != NULL) {
		char *child = must_print("%s/%s", path, entry->d_name);
		const char *name;
		struct stat info;
		uint32_t node;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    trace_ignores(ignored, entry->d_name)) {
			free(child);
			continue;
		}
		if (stat(child, &info) != 0)
			die("cannot read '%s'", child);
		name = keep_text(disk, entry->d_name);
		node = new_node(disk, S_ISDIR(info.st_mode));
		disk_names_put(&disk->nodes[directory].stable, name, node);
		disk_names_put(&disk->nodes[directory].seen, name, node);
		if (S_ISDIR(info.st_mode))
			load_directory(disk, node, child, ignored);
		else
			load_file(&disk->nodes[node], child);
		free(child);
	}
	closedir(stream);
}

void disk_init(struct disk *disk, const struct trace *trace, enum disk_model model, struct disk_lie lie,
	       const char *base, const char *const *ignored)
{
	*disk = (struct disk){ .trace = trace, .model = model, .lie = lie };
	disk->handles = must_zeroed(trace->handle_count, sizeof *disk->handles);
	disk->paths = must_zeroed(trace->handle_count, sizeof *disk->paths);
	new_node(disk, false);
	new_node(disk, true);
	if (base != NULL)
		load_directory(disk, DISK_ROOT, base, ignored);
}

void disk_done(struct disk *disk)
{
	for (size_t i = 0; i < disk->node_count; i++) {
		free(disk->nodes[i].stable.items);
		free(disk->nodes[i].seen.items);
		free(disk->nodes[i].data);
	}
	for (size_t i = 0; i < disk->text_count; i++)
		free(disk->texts[i]);
	free(disk->texts);
	free(disk->nodes);
	free(disk->units);
	free(disk->handles);
	free(disk->paths);
	*disk = (struct disk){ .trace = NULL };
}
