// Loaded before libc into a process that writes. When it syncs a file below a folder, the file's bytes are copied to a
// second folder: what a disk that loses power is sure to hold. Everything else was only written.
//
//   TALLYSTICK_DISK_LIVE  the folder whose files are watched
//   TALLYSTICK_DISK       the folder of the copies (`synced`), and of what is said between this and the test:
//                         `lock`  one sync at a time
//                         `cut`   "N END": the power goes at the sync, after N others, of a file whose name ends so
//                         `gone`  it is gone: no sync returns any more
//   TALLYSTICK_DISK_LIES  set: syncs do nothing at all, and say that they did
//
// fsync and fdatasync alike: of a file, its bytes and its name are then on the disk, as on ext4, XFS and btrfs; of a
// folder, its names are. A file that was renamed is there under its new name once it was synced under that: PostgreSQL
// does so, and SQLite renames nothing. sync_file_range promises nothing and counts for nothing; nobody here uses msync,
// O_SYNC or O_DSYNC.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int (*sync_call)(int);
typedef char path_t[PATH_MAX];

static const char *live, *disk, *lies;

// PostgreSQL writes its title over its environment: a copy is kept.
static const char *keep(const char *name) {
    const char *value = getenv(name);
    return value ? strdup(value) : NULL;
}

__attribute__((constructor)) static void begin(void) {
    live = keep("TALLYSTICK_DISK_LIVE");
    disk = keep("TALLYSTICK_DISK");
    lies = keep("TALLYSTICK_DISK_LIES");
}

// A shim that cannot do its work ends the process: it must not look like a disk.
static int must(int answer, const char *what) {
    if (answer < 0) {
        perror(what);
        abort();
    }
    return answer;
}

static void join(path_t to, const char *folder, const char *name) {
    must(snprintf(to, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : -1, "a long path");
}

static int ends_with(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0;
}

static int exists(const char *folder, const char *name) {
    path_t path;
    struct stat found;
    join(path, folder, name);
    return lstat(path, &found) == 0;
}

// Makes the folders that lead to a path.
static void make_folders(const char *path) {
    path_t folder;
    strcpy(folder, path);
    for (char *end = folder + strlen(disk) + 1; (end = strchr(end, '/')); *end++ = '/') {
        *end = 0;
        must(mkdir(folder, 0700) == 0 || errno == EEXIST ? 0 : -1, folder);
    }
}

// Copies an open file, through its own descriptor if that can read: closing another would give up SQLite's locks.
static void copy_bytes(int from, const char *to) {
    static __thread char bytes[1 << 16];
    char again[64];
    int readable = (must(fcntl(from, F_GETFL), "F_GETFL") & O_ACCMODE) != O_WRONLY;
    snprintf(again, sizeof again, "/proc/self/fd/%d", from);
    int in = readable ? from : must(open(again, O_RDONLY | O_CLOEXEC), again);
    int out = must(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), to);
    off_t at = 0;
    for (ssize_t got; (got = must(pread(in, bytes, sizeof bytes, at), again)); at += got)
        must(write(out, bytes, got) == got ? 0 : -1, to);
    close(out);
    if (!readable)
        close(in);
}

// The names in a folder, and no others: new ones with nothing in them.
static void copy_names(const char *from, const char *to) {
    path_t path;
    make_folders(to);
    must(mkdir(to, 0700) == 0 || errno == EEXIST ? 0 : -1, to);
    const char *folders[] = {to, from};
    for (int new = 0; new < 2; new++) {
        DIR *names = opendir(folders[new]);
        must(names ? 0 : -1, folders[new]);
        for (struct dirent *entry; (entry = readdir(names));) {
            if (exists(folders[!new], entry->d_name))
                continue;
            join(path, to, entry->d_name);
            if (!new)
                unlink(path);
            else if (entry->d_type == DT_DIR)
                must(mkdir(path, 0700), path);
            else if (entry->d_type == DT_REG)
                close(must(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), path));
        }
        closedir(names);
    }
}

// Does the power go at this sync? It counts down otherwise.
static int is_cut(const char *path) {
    path_t name;
    char end[64] = "";
    int left, cut = 0;
    join(name, disk, "cut");
    FILE *file = fopen(name, "r+");
    if (!file)
        return 0;
    if (fscanf(file, "%d %63s", &left, end) >= 1 && ends_with(path, end)) {
        cut = left == 0;
        rewind(file);
        fprintf(file, "%09d", cut ? 0 : left - 1);
    }
    fclose(file);
    return cut || exists(disk, "gone");
}

static int synced(int fd, const char *name) {
    sync_call real = (sync_call)dlsym(RTLD_NEXT, name);
    path_t path, to, part, lock_name;
    struct stat file;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = live && disk ? readlink(link, path, sizeof path - 1) : -1;
    path[length < 0 ? 0 : length] = 0;
    size_t folder = live ? strlen(live) : 0;
    // Not ours, or removed already; or the PostgreSQL server's own number, which it syncs before it stops, power or not.
    if (length < 0 || strncmp(path, live, folder) || (path[folder] != '/' && path[folder]) || fstat(fd, &file) ||
        file.st_nlink == 0 || ends_with(path, "/postmaster.pid"))
        return real(fd);
    join(lock_name, disk, "lock");
    int lock = must(open(lock_name, O_RDWR | O_CREAT | O_CLOEXEC, 0600), lock_name);
    while (flock(lock, LOCK_EX))
        must(errno == EINTR ? 0 : -1, lock_name);
    if (is_cut(path)) {
        join(part, disk, "gone");
        close(must(open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), part));
        close(lock);
        for (;;)
            pause();
    }
    int answer = 0;
    if (!lies) {
        // Copied before it is synced: what is written meanwhile does not count.
        join(part, disk, "part");
        must(snprintf(to, sizeof to, "%s/synced%s", disk, path + folder) < PATH_MAX ? 0 : -1, "a long path");
        if (S_ISREG(file.st_mode))
            copy_bytes(fd, part);
        answer = real(fd);
        if (answer == 0 && S_ISREG(file.st_mode)) {
            make_folders(to);
            must(rename(part, to), to);
        } else if (answer == 0 && S_ISDIR(file.st_mode)) {
            copy_names(path, to);
        }
    }
    close(lock);
    return answer;
}

int fsync(int fd) { return synced(fd, "fsync"); }

int fdatasync(int fd) { return synced(fd, "fdatasync"); }
