#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/chance.h"
#include "must.h"

static const char *const way_names[IMAGE_WAYS] = {
	"all", "none", "drop", "keep", "torn", "subset", "torn-subset",
};

/* ---- which ---- */

struct image image_nth(const struct disk *disk, size_t nth, uint64_t seed)
{
	size_t units = disk->unit_count;
	struct image image = { .model = disk->model,
			       .crash = disk->steps,
			       .known = trace_marks_known(disk->trace, disk->steps),
			       .begun = trace_marks_begun(disk->trace, disk->steps) };

	if (nth < 2) {
		image.way = nth == 0 ? IMAGE_ALL : IMAGE_NONE;
	} else if (nth < 2 + 2 * units) {
		image.way = nth % 2 == 0 ? IMAGE_DROP : IMAGE_KEEP;
		/* The last ones first: they are what the process was about. */
		image.which = units - nth / 2;
	} else {
		static const enum image_way ways[] = { IMAGE_TORN, IMAGE_SUBSET, IMAGE_TORN_SUBSET,
						       IMAGE_SUBSET };
		struct chance chance = { seed ^ (uint64_t)disk->steps << 32 ^ nth };

		image.way = ways[nth % 4];
		image.which = chance_next(&chance);
	}
	return image;
}

void image_format(const struct image *image, char text[IMAGE_TEXT_SIZE])
{
	snprintf(text, IMAGE_TEXT_SIZE, "%s:%zu:%s:%" PRIu64 ":%zu:%zu", disk_model_names[image->model],
		 image->crash, way_names[image->way], image->which, image->known, image->begun);
}

static bool word_among(const char **text, const char *const *words, size_t count, unsigned *ret_index)
{
	size_t size = strcspn(*text, ":");

	for (size_t i = 0; i < count; i++)
		if (strlen(words[i]) == size && strncmp(*text, words[i], size) == 0) {
			*ret_index = (unsigned)i;
			*text += size + ((*text)[size] == ':');
			return true;
		}
	return false;
}

static bool number(const char **text, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(*text, &end, 10);
	if (end == *text || errno != 0 || (*end != ':' && *end != '\0'))
		return false;
	*text = end + (*end == ':');
	return true;
}

bool image_parse(const char *text, struct image *image)
{
	unsigned model, way;
	uint64_t crash, known, begun;

	*image = (struct image){ .crash = 0 };
	if (!word_among(&text, disk_model_names, DISK_MODELS, &model) || !number(&text, &crash) ||
	    !word_among(&text, way_names, IMAGE_WAYS, &way) || !number(&text, &image->which) ||
	    !number(&text, &known) || !number(&text, &begun))
		return false;
	image->model = (enum disk_model)model;
	image->way = (enum image_way)way;
	image->crash = crash;
	image->known = known;
	image->begun = begun;
	return *text == '\0';
}

/* ---- what survives ---- */

/* Which units survive. One of them may be torn: then only those sectors of it that the mask has. */
struct choice {
	bool *kept;
	size_t torn; /* SIZE_MAX: none */
	uint64_t sectors;
};

/* Take out what cannot survive without what did not. Nothing may rest on what is torn, either. */
static void close_downwards(const struct disk *disk, struct choice *choice)
{
	for (size_t i = 0; i < disk->unit_count; i++)
		for (size_t j = 0; choice->kept[i] && j < i; j++)
			if ((!choice->kept[j] || j == choice->torn) &&
			    disk_needs(disk, &disk->units[i], &disk->units[j]))
				choice->kept[i] = false;
}

/* Bring in what must have survived with what did. */
static void close_upwards(const struct disk *disk, struct choice *choice)
{
	for (size_t i = disk->unit_count; i-- > 0;)
		for (size_t j = 0; choice->kept[i] && j < i; j++)
			if (disk_needs(disk, &disk->units[i], &disk->units[j]))
				choice->kept[j] = true;
}

static void choose_torn(const struct disk *disk, struct choice *choice, struct chance *chance)
{
	size_t data[8], count = 0;

	for (size_t i = disk->unit_count; i-- > 0 && count < 8;)
		if (disk->units[i].kind == UNIT_DATA && choice->kept[i])
			data[count++] = i;
	if (count == 0)
		return;
	choice->torn = data[chance_below(chance, count)];
	choice->sectors = chance_next(chance);
	/* Often a run of sectors from the front, which is how many drives tear. */
	if (chance_below(chance, 2) == 0)
		choice->sectors = (UINT64_C(1) << chance_below(chance, 8)) - 1;
}

static void choose(const struct disk *disk, const struct image *image, struct choice *choice)
{
	struct chance chance = { image->which };
	unsigned odds[] = { 10, 30, 50, 70, 90, 97 }, odd;
	bool by_chance = image->way == IMAGE_SUBSET || image->way == IMAGE_TORN_SUBSET;

	choice->kept = must_zeroed(disk->unit_count, sizeof *choice->kept);
	choice->torn = SIZE_MAX;
	odd = odds[chance_below(&chance, sizeof odds / sizeof *odds)];
	for (size_t i = 0; i < disk->unit_count; i++) {
		switch (image->way) {
		case IMAGE_ALL:
		case IMAGE_TORN:
			choice->kept[i] = true;
			break;
		case IMAGE_DROP:
			choice->kept[i] = i != image->which;
			break;
		case IMAGE_KEEP:
			choice->kept[i] = i == image->which;
			break;
		default:
			choice->kept[i] = by_chance && chance_below(&chance, 100) < odd;
			break;
		}
	}
	if (image->way == IMAGE_KEEP)
		close_upwards(disk, choice);
	if (image->way == IMAGE_TORN || image->way == IMAGE_TORN_SUBSET)
		choose_torn(disk, choice, &chance);
	close_downwards(disk, choice);
}

/* ---- what it looks like ---- */

/* A node as the image has it; of those that the units do not touch it is the stable one. */
struct view {
	bool made; /* names or data are this image's own */
	struct disk_names names;
	uint8_t *data;
	size_t size, room;
};

struct scene {
	struct disk *disk;
	struct view *views; /* by node */
};

static struct view *own_view(struct scene *scene, uint32_t number_of)
{
	const struct disk_node *node = &scene->disk->nodes[number_of];
	struct view *view = &scene->views[number_of];

	if (view->made)
		return view;
	view->made = true;
	if (node->directory) {
		for (size_t i = 0; i < node->stable.count; i++)
			disk_names_put(&view->names, node->stable.items[i].text, node->stable.items[i].node);
	} else {
		view->size = node->size;
		view->room = node->size;
		view->data = must_resize(NULL, view->room);
		if (node->size > 0)
			memcpy(view->data, node->data, node->size);
	}
	return view;
}

static void view_room(struct view *view, uint64_t room)
{
	if (room <= view->room)
		return;
	view->data = must_resize(view->data, room);
	memset(view->data + view->room, 0, room - view->room);
	view->room = room;
}

/* Data beyond the size stays in the room, and shows when the size comes. */
static void put_data(struct view *view, const struct disk_unit *unit, uint64_t sectors)
{
	view_room(view, unit->offset + unit->size);
	for (uint64_t done = 0; done < unit->size;) {
		uint64_t at = unit->offset + done, here = DISK_SECTOR - at % DISK_SECTOR;

		if (here > unit->size - done)
			here = unit->size - done;
		if ((sectors >> at / DISK_SECTOR % 64 & 1) == 0)
			;
		else if (unit->data != NULL)
			memcpy(view->data + at, unit->data + done, here);
		else
			memset(view->data + at, 0, here);
		done += here;
	}
}

static void put_size(struct view *view, const struct disk_unit *unit)
{
	view_room(view, unit->size);
	if (unit->size < unit->offset)
		memset(view->data + unit->size, 0, view->room - unit->size);
	view->size = unit->size;
}

static void put(struct scene *scene, const struct disk_unit *unit, uint64_t sectors)
{
	switch (unit->kind) {
	case UNIT_DATA:
		put_data(own_view(scene, unit->node), unit, sectors);
		break;
	case UNIT_SIZE:
		put_size(own_view(scene, unit->node), unit);
		break;
	case UNIT_ADD:
		disk_names_put(&own_view(scene, unit->directory)->names, unit->name, unit->node);
		break;
	case UNIT_REMOVE:
		disk_names_remove(&own_view(scene, unit->directory)->names, unit->name, unit->node);
		break;
	case UNIT_MOVE:
		disk_names_remove(&own_view(scene, unit->directory)->names, unit->name, unit->node);
		disk_names_put(&own_view(scene, unit->to_directory)->names, unit->to_name, unit->node);
		break;
	}
}

static void scene_init(struct scene *scene, struct disk *disk, const struct image *image)
{
	struct choice choice;

	scene->disk = disk;
	scene->views = must_zeroed(disk->node_count, sizeof *scene->views);
	choose(disk, image, &choice);
	for (size_t i = 0; i < disk->unit_count; i++)
		if (choice.kept[i])
			put(scene, &disk->units[i], i == choice.torn ? choice.sectors : UINT64_MAX);
	free(choice.kept);
}

static void scene_done(struct scene *scene)
{
	for (size_t i = 0; i < scene->disk->node_count; i++) {
		free(scene->views[i].names.items);
		free(scene->views[i].data);
	}
	free(scene->views);
}

/* Every file and directory, in the order of the names: a directory before what is in it. */
typedef void visit(void *context, const char *path, uint32_t node, bool directory, struct pd_slice data);

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct disk_name *)a)->text, ((const struct disk_name *)b)->text);
}

static void walk(struct scene *scene, uint32_t directory, char *path, size_t path_size, visit *report,
		 void *context)
{
	struct view *view = &scene->views[directory];
	struct disk_names *names = view->made ? &view->names : &scene->disk->nodes[directory].stable;

	if (names->count > 1)
		qsort(names->items, names->count, sizeof *names->items, compare_names);
	for (size_t i = 0; i < names->count; i++) {
		uint32_t number_of = names->items[i].node;
		const struct disk_node *node = &scene->disk->nodes[number_of];
		const struct view *child = &scene->views[number_of];
		size_t size = path_size;

		size += (size_t)snprintf(path + size, PATH_MAX - size, "%s%s", size > 0 ? "/" : "",
					 names->items[i].text);
		if (size >= PATH_MAX)
			die("too long a path");
		report(context, path, child->made ? 0 : number_of, node->directory,
		       node->directory ? pd_slice(NULL, 0)
		       : child->made   ? pd_slice(child->data, child->size)
				       : pd_slice(node->data, node->size));
		if (node->directory)
			walk(scene, number_of, path, size, report, context);
	}
}

static void visit_image(struct disk *disk, const struct image *image, visit *report, void *context)
{
	struct scene scene;
	char path[PATH_MAX] = "";

	if (disk->steps != image->crash || disk->model != image->model)
		die("the disk is not where the image wants it");
	scene_init(&scene, disk, image);
	walk(&scene, DISK_ROOT, path, 0, report, context);
	scene_done(&scene);
}

/* ---- hash ---- */

struct hashing {
	struct disk *disk;
	const char *const *blurred;
	struct pd_hasher *all, *one;
};

static struct pd_hash128 hash_data(struct hashing *hashing, uint32_t number_of, struct pd_slice data)
{
	struct disk_node *node = &hashing->disk->nodes[number_of];
	struct pd_hash128 hash;

	if (number_of != 0 && node->hashed)
		return node->hash;
	pd_hasher_reset(hashing->one);
	pd_hasher_add(hashing->one, data.data, data.size);
	hash = pd_hasher_sum(hashing->one);
	if (number_of != 0) {
		node->hash = hash;
		node->hashed = true;
	}
	return hash;
}

static bool is_blurred(const char *const *blurred, const char *path)
{
	char part[PATH_MAX];

	/* Each of its parts, the last one first. */
	(void)snprintf(part, sizeof part, "%s", path);
	for (;;) {
		char *slash = strrchr(part, '/');

		if (trace_ignores(blurred, part))
			return true;
		if (slash == NULL)
			return false;
		*slash = '\0';
	}
}

static void hash_one(void *context, const char *path, uint32_t node, bool directory, struct pd_slice data)
{
	struct hashing *hashing = context;
	struct {
		uint64_t path_size, size;
		struct pd_hash128 hash;
	} head = { strlen(path), directory ? UINT64_MAX : data.size, { 0, 0 } };

	if (is_blurred(hashing->blurred, path))
		return;
	if (!directory)
		head.hash = hash_data(hashing, node, data);
	pd_hasher_add(hashing->all, &head, sizeof head);
	pd_hasher_add(hashing->all, path, strlen(path));
}

struct pd_hash128 image_hash(struct disk *disk, const struct image *image, const char *const *blurred,
			     struct pd_hasher *hasher)
{
	struct hashing hashing = { disk, blurred, hasher, pd_hasher_new() };
	struct pd_hash128 hash;

	if (hashing.one == NULL)
		die("out of memory");
	pd_hasher_reset(hasher);
	visit_image(disk, image, hash_one, &hashing);
	hash = pd_hasher_sum(hasher);
	pd_hasher_free(hashing.one);
	return hash;
}

/* ---- to and from a real directory ---- */

static void write_one(void *context, const char *path, uint32_t node, bool directory, struct pd_slice data)
{
	int at = *(const int *)context, fd;

	(void)node;
	if (directory) {
		if (mkdirat(at, path, 0700) != 0)
			die("cannot make '%s'", path);
		return;
	}
	fd = openat(at, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || (data.size > 0 && write(fd, data.data, data.size) != (ssize_t)data.size))
		die("cannot write '%s': %s", path, strerror(errno));
	close(fd);
}

void image_write(struct disk *disk, const struct image *image, const char *directory)
{
	int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (at < 0)
		die("cannot open '%s'", directory);
	visit_image(disk, image, write_one, &at);
	close(at);
}

struct comparing {
	const char *directory;
	size_t names;
	bool same;
};

static void compare_one(void *context, const char *path, uint32_t node, bool directory, struct pd_slice data)
{
	struct comparing *comparing = context;
	char *whole = must_print("%s/%s", comparing->directory, path);
	struct stat info;
	FILE *file = NULL;
	uint8_t *read = NULL;

	(void)node;
	comparing->names++;
	if (stat(whole, &info) != 0 || S_ISDIR(info.st_mode) != directory) {
		fprintf(stderr, "states: '%s' is in the trace, not in the directory\n", path);
		comparing->same = false;
	} else if (!directory) {
		read = must_resize(NULL, data.size);
		file = fopen(whole, "rb");
		if (file == NULL || (size_t)info.st_size != data.size ||
		    fread(read, 1, data.size, file) != data.size ||
		    (data.size > 0 && memcmp(read, data.data, data.size) != 0)) {
			fprintf(stderr,
				"states: '%s' has other content than the trace says (%zu and %zu bytes)\n",
				path, (size_t)info.st_size, data.size);
			comparing->same = false;
		}
	}
	if (file != NULL)
		fclose(file);
	free(read);
	free(whole);
}

static size_t count_names(const char *directory, const char *const *ignored)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	if (stream == NULL)
		die("cannot read the directory '%s'", directory);
	while ((entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    trace_ignores(ignored, entry->d_name))
			continue;
		count++;
		if (entry->d_type == DT_DIR) {
			char *child = must_print("%s/%s", directory, entry->d_name);

			count += count_names(child, ignored);
			free(child);
		}
	}
	closedir(stream);
	return count;
}

bool image_compare(struct disk *disk, const struct image *image, const char *directory,
		   const char *const *ignored)
{
	struct comparing comparing = { directory, 0, true };
	size_t names = count_names(directory, ignored);

	visit_image(disk, image, compare_one, &comparing);
	if (names != comparing.names) {
		fprintf(stderr, "states: the directory holds %zu names, the trace made %zu\n", names,
			comparing.names);
		comparing.same = false;
	}
	return comparing.same;
}

/* ---- in words ---- */

static void explain_unit(const struct disk_unit *unit, const char *fate)
{
	switch (unit->kind) {
	case UNIT_DATA:
		printf("  %-5s data   node %u, %" PRIu64 " bytes at %" PRIu64 "%s\n", fate, unit->node,
		       unit->size, unit->offset, unit->data == NULL ? " (zeros)" : "");
		break;
	case UNIT_SIZE:
		printf("  %-5s size   node %u, %" PRIu64 " -> %" PRIu64 "\n", fate, unit->node, unit->offset,
		       unit->size);
		break;
	case UNIT_ADD:
	case UNIT_REMOVE:
		printf("  %-5s %s node %u, '%s' in directory %u\n", fate,
		       unit->kind == UNIT_ADD ? "name  " : "remove", unit->node, unit->name, unit->directory);
		break;
	case UNIT_MOVE:
		printf("  %-5s move   node %u, '%s' in directory %u -> '%s' in %u\n", fate, unit->node,
		       unit->name, unit->directory, unit->to_name, unit->to_directory);
		break;
	}
}

static void explain_one(void *context, const char *path, uint32_t node, bool directory, struct pd_slice data)
{
	(void)context;
	(void)node;
	if (directory)
		printf("  %s/\n", path);
	else
		printf("  %s  %zu bytes\n", path, data.size);
}

void image_explain(struct disk *disk, const struct image *image)
{
	struct choice choice;

	choose(disk, image, &choice);
	printf("What was not synced after %zu steps, and what became of it:\n", disk->steps);
	for (size_t i = 0; i < disk->unit_count; i++)
		explain_unit(&disk->units[i], i == choice.torn ? "torn" : choice.kept[i] ? "kept" : "lost");
	free(choice.kept);
	printf("What the disk then holds:\n");
	visit_image(disk, image, explain_one, NULL);
}
