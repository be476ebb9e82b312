#include "sys/lookup.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { WORD_BITS = 8 * sizeof(Elf64_Addr), HIDDEN = 0x8000, FIRST_VERSION = 2 };

/* The tables of a loaded object. */
struct object {
	uintptr_t base;
	const Elf64_Sym *symbols;
	const char *strings;
	const uint16_t *versions;
	const uint32_t *hash; /* DT_GNU_HASH */
	bool strange;	      /* dlsym may look elsewhere, or by other tables */
};

/* The parts of DT_GNU_HASH. */
struct table {
	uint32_t buckets;
	uint32_t first; /* the symbols before it are not in the table */
	uint32_t words;
	uint32_t shift;
	const Elf64_Addr *bloom;
	const uint32_t *bucket;
	const uint32_t *chain;
};

/* The library's own dynamic section. */
extern const Elf64_Dyn own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* glibc has added the base already, except where the section is read-only, as the vDSO's; musl
 * never does. */
static const void *at(const struct link_map *map, Elf64_Addr address)
{
	return (const void *)(address < map->l_addr ? address + map->l_addr : address);
}

static void read_object(struct object *object, const struct link_map *map)
{
	bool other_hash = false;

	*object = (struct object){.base = map->l_addr};
	for (const Elf64_Dyn *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
		const void *pointer = at(map, entry->d_un.d_ptr);

		switch (entry->d_tag) {
		case DT_SYMTAB:
			object->symbols = pointer;
			break;
		case DT_STRTAB:
			object->strings = pointer;
			break;
		case DT_VERSYM:
			object->versions = pointer;
			break;
		case DT_GNU_HASH:
			object->hash = pointer;
			break;
		case DT_HASH:
			other_hash = true;
			break;
		case DT_FILTER:
		case DT_AUXILIARY:
			object->strange = true;
			break;
		default:
			break;
		}
	}
	if ((!object->hash && other_hash) || !object->symbols || !object->strings)
		object->strange = true;
	if (object->hash && !object->hash[0])
		object->hash = NULL;
}

static struct table table_of(const uint32_t *hash)
{
	struct table table = {
		.buckets = hash[0], .first = hash[1], .words = hash[2], .shift = hash[3]};

	table.bloom = (const Elf64_Addr *)(const void *)(hash + 4);
	table.bucket = (const uint32_t *)(const void *)(table.bloom + table.words);
	table.chain = table.bucket + table.buckets;
	return table;
}

static bool may_have(const struct table *table, uint32_t hash)
{
	Elf64_Addr word = table->bloom[hash / WORD_BITS & (table->words - 1)];

	return word >> hash % WORD_BITS & word >> (hash >> table->shift) % WORD_BITS & 1;
}

/* What dlsym passes over: an object that wants the symbol from elsewhere. */
static bool is_wanted_only(const Elf64_Sym *symbol)
{
	return !symbol->st_value && symbol->st_shndx != SHN_ABS &&
	       ELF64_ST_TYPE(symbol->st_info) != STT_TLS;
}

/* Else it has no address yet, or dlsym goes by more than this one. */
static bool is_plain(const Elf64_Sym *symbol)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info), bind = ELF64_ST_BIND(symbol->st_info);

	return (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE) &&
	       (bind == STB_GLOBAL || bind == STB_WEAK) &&
	       ELF64_ST_VISIBILITY(symbol->st_other) == STV_DEFAULT &&
	       symbol->st_shndx != SHN_ABS && symbol->st_shndx != SHN_UNDEF;
}

/* A name without a version means one that has none, or the default version where there is one
 * only. */
static const Elf64_Sym *symbol_of(
	const struct object *object, const struct table *table, const struct lookup *name)
{
	uint32_t index = table->bucket[name->hash % table->buckets];
	const Elf64_Sym *versioned = NULL;
	int versions = 0;

	if (!index)
		return NULL;
	for (;; index++) {
		const Elf64_Sym *symbol = &object->symbols[index];
		uint32_t hash = table->chain[index - table->first];

		if ((hash | 1) == (name->hash | 1) && !is_wanted_only(symbol) &&
			!strcmp(object->strings + symbol->st_name, name->name)) {
			unsigned version = object->versions ? object->versions[index] : 0;

			if ((version & ~(unsigned)HIDDEN) < FIRST_VERSION)
				return symbol;
			if (!(version & HIDDEN) && versions++ == 0)
				versioned = symbol;
		}
		if (hash & 1)
			return versions == 1 ? versioned : NULL;
	}
}

static void look_in(const struct object *object, struct lookup *names, size_t n)
{
	struct table table;

	if (!object->hash && !object->strange)
		return;
	if (object->hash)
		table = table_of(object->hash);
	for (size_t i = 0; i < n; i++) {
		const Elf64_Sym *symbol;

		if (names[i].result != LOOKUP_ABSENT)
			continue;
		if (object->strange) {
			names[i].result = LOOKUP_UNSURE;
			continue;
		}
		if (!may_have(&table, names[i].hash))
			continue;
		symbol = symbol_of(object, &table, &names[i]);
		if (!symbol)
			continue;
		names[i].result = is_plain(symbol) ? LOOKUP_FOUND : LOOKUP_UNSURE;
		names[i].address = (void *)(object->base + symbol->st_value);
	}
}

/* The main program's entry for debuggers: NULL where it has none, or where auditors have a say in
 * what dlsym answers. */
static const struct r_debug *debug_of(const Elf64_Dyn *entry)
{
	const struct r_debug *debug = NULL;

	for (; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_DEBUG)
			debug = (const struct r_debug *)entry->d_un.d_ptr;
		if (entry->d_tag == DT_AUDIT || entry->d_tag == DT_DEPAUDIT)
			return NULL;
	}
	return debug;
}

static const struct r_debug *find_debug(void)
{
	const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
	const Elf64_Phdr *own = NULL, *dynamic = NULL;
	size_t n = header ? getauxval(AT_PHNUM) : 0;
	uintptr_t base;

	for (size_t i = 0; i < n; i++) {
		if (header[i].p_type == PT_PHDR)
			own = &header[i];
		if (header[i].p_type == PT_DYNAMIC)
			dynamic = &header[i];
	}
	if (!own || !dynamic)
		return NULL;
	base = (uintptr_t)header - own->p_vaddr;
	return debug_of((const Elf64_Dyn *)(base + dynamic->p_vaddr));
}

/* The first object; NULL where the list may be changing, or dlsym goes by other rules. */
static const struct link_map *first_object(void)
{
	const struct r_debug *debug;

	if (!environ || getenv("LD_AUDIT") || getenv("LD_DYNAMIC_WEAK"))
		return NULL;
	debug = find_debug();
	return debug && debug->r_state == RT_CONSISTENT ? debug->r_map : NULL;
}

static bool is_vdso(const struct link_map *map)
{
	enum { MOST = 0x10000 };
	uintptr_t start = getauxval(AT_SYSINFO_EHDR);

	return start && (uintptr_t)map->l_ld - start < MOST;
}

/* The object behind this library; NULL where it is not in the list, or where libc is before it: it
 * was loaded by dlopen, and dlsym looks at what was loaded with it. */
static const struct link_map *object_behind(const struct link_map *map)
{
	struct lookup libc = {.name = "getauxval", .hash = hash_of("getauxval")};
	struct object object;

	while (map && map->l_ld != own_dynamic)
		map = map->l_next;
	map = map ? map->l_next : NULL;
	for (const struct link_map *one = map; one && libc.result == LOOKUP_ABSENT;
		one = one->l_next) {
		read_object(&object, one);
		look_in(&object, &libc, 1);
	}
	return libc.result == LOOKUP_FOUND ? map : NULL;
}

void lookup_all(struct lookup *names, size_t n, enum lookup_scope scope)
{
	const struct link_map *map = first_object();
	struct object object;

	if (map && scope == LOOKUP_NEXT)
		map = object_behind(map);
	for (size_t i = 0; i < n; i++) {
		names[i].result = map ? LOOKUP_ABSENT : LOOKUP_UNSURE;
		names[i].hash = hash_of(names[i].name);
	}
	for (; map; map = map->l_next) {
		if (is_vdso(map))
			continue;
		read_object(&object, map);
		look_in(&object, names, n);
	}
}
