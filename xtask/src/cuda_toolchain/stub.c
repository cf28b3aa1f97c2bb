/* The stub for one CUDA library. A program is linked with this in the place of the library, which is opened when
 * the first of its functions is called; so the program starts, and uses the CPU, where there is no CUDA.
 *
 * Compiled once for each library, with these definitions:
 *   LIBRARY     the file to open, such as "libcudnn.so.9"
 *   PRODUCT     what has to be installed where it is missing, such as "cuDNN 9"
 *   IS_DRIVER   1 for libcuda, which comes with the GPU's driver, else 0
 *   FUNCTIONS   a file with a line FUNCTION(name) for every function of the library
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Folders that are searched first, separated by colons; the second is an older name. */
#define PATH_VARIABLE "GAN_CUDA_LIBRARY_PATH"
#define OLD_PATH_VARIABLE "CUSHIM_LIBRARY_PATH"
/* When set, a line on standard error for every library that is opened. */
#define VERBOSE_VARIABLE "GAN_CUDA_VERBOSE"

/* The exit code for trouble with a device. */
enum { EXIT_DEVICE = 5 };
/* CUDA's own numbers. */
enum { STUB_LIBRARY = 34, NOT_FOUND = 500 };

/* What a call jumps to; at first a piece of code that has `find_target` put the real function there. */
struct function {
    void *target;
    const char *name;
};

/* `name:` jumps to its target. The signature is not known here, so no argument is touched. */
#define FUNCTION(name)                                                  \
    __asm__(".pushsection .rodata.str, \"aMS\", @progbits, 1\n"         \
            ".Lname_" #name ": .asciz \"" #name "\"\n"                  \
            ".popsection\n"                                             \
            ".pushsection .data.rel." #name ", \"aw\", @progbits\n"     \
            ".balign 8\n"                                               \
            ".Lfunction_" #name ": .quad .Lfirst_" #name ", .Lname_" #name "\n" \
            ".popsection\n"                                             \
            ".pushsection .text." #name ", \"ax\", @progbits\n"         \
            ".globl " #name "\n"                                        \
            ".hidden " #name "\n"                                       \
            ".type " #name ", @function\n"                              \
            #name ": jmp *.Lfunction_" #name "(%rip)\n"                 \
            ".Lfirst_" #name ":\n"                                      \
            "    leaq .Lfunction_" #name "(%rip), %r11\n"               \
            "    jmp .Lfirst_call\n"                                    \
            ".size " #name ", . - " #name "\n"                          \
            ".popsection\n");

/* The first call of a function, r11 leading to its `struct function`: keeps the registers that may hold arguments
 * (integers, vectors, and the number of vectors in rax), finds the target and goes there as if nothing had been. */
__asm__(".text\n"
        ".Lfirst_call:\n"
        "    pushq %rbp\n"
        "    movq %rsp, %rbp\n"
        "    pushq %rax\n"
        "    pushq %rdi\n"
        "    pushq %rsi\n"
        "    pushq %rdx\n"
        "    pushq %rcx\n"
        "    pushq %r8\n"
        "    pushq %r9\n"
        "    pushq %r11\n"
        "    subq $128, %rsp\n"
        "    movups %xmm0, (%rsp)\n"
        "    movups %xmm1, 16(%rsp)\n"
        "    movups %xmm2, 32(%rsp)\n"
        "    movups %xmm3, 48(%rsp)\n"
        "    movups %xmm4, 64(%rsp)\n"
        "    movups %xmm5, 80(%rsp)\n"
        "    movups %xmm6, 96(%rsp)\n"
        "    movups %xmm7, 112(%rsp)\n"
        "    movq %r11, %rdi\n"
        "    call find_target\n"
        "    movups (%rsp), %xmm0\n"
        "    movups 16(%rsp), %xmm1\n"
        "    movups 32(%rsp), %xmm2\n"
        "    movups 48(%rsp), %xmm3\n"
        "    movups 64(%rsp), %xmm4\n"
        "    movups 80(%rsp), %xmm5\n"
        "    movups 96(%rsp), %xmm6\n"
        "    movups 112(%rsp), %xmm7\n"
        "    addq $128, %rsp\n"
        "    popq %r11\n"
        "    popq %r9\n"
        "    popq %r8\n"
        "    popq %rcx\n"
        "    popq %rdx\n"
        "    popq %rsi\n"
        "    popq %rdi\n"
        "    popq %rax\n"
        "    popq %rbp\n"
        "    jmp *(%r11)\n");

#include FUNCTIONS

static void *library;
/* Why a file that is there could not be opened. */
static char damage[1024];

static void tell(const char *where) {
    if (getenv(VERBOSE_VARIABLE)) fprintf(stderr, "%s: opened %s\n", LIBRARY, where);
}

/* NVRTC opens its builtins by their bare name, and where it comes from a wheel the loader would not find them. */
static void open_builtins(const char *folder) {
    char pattern[4096];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/libnvrtc-builtins.so.*", folder);
    if (glob(pattern, 0, NULL, &found) == 0) dlopen(found.gl_pathv[0], RTLD_LAZY);
    globfree(&found);
}

static void open_in(const char *folder) {
    char path[4096];
    if (library || snprintf(path, sizeof path, "%s/%s", folder, LIBRARY) >= (int)sizeof path) return;
    if (access(path, F_OK) != 0) return;
    library = dlopen(path, RTLD_LAZY);
    if (library) {
        tell(path);
        open_builtins(folder);
    } else if (!*damage) {
        const char *reason = dlerror();
        snprintf(damage, sizeof damage, "%.*s", (int)sizeof damage - 1, reason ? reason : path);
    }
}

static void open_in_list(const char *folders) {
    char *copy = folders ? strdup(folders) : NULL, *rest = NULL;
    for (char *folder = copy ? strtok_r(copy, ":", &rest) : NULL; folder; folder = strtok_r(NULL, ":", &rest))
        open_in(folder);
    free(copy);
}

/* `base` is followed by a pattern of folders; NULL, an environment variable that is not set, stands for none. */
static void open_below(const char *base, const char *below) {
    char pattern[4096];
    glob_t found;
    if (library || !base || snprintf(pattern, sizeof pattern, "%s%s", base, below) >= (int)sizeof pattern) return;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) open_in(found.gl_pathv[i]);
    globfree(&found);
}

static void open_library(void) {
    static const char wheels[] = "/lib/python3*/*-packages/nvidia/*/lib";
    open_in_list(getenv(PATH_VARIABLE));
    open_in_list(getenv(OLD_PATH_VARIABLE));
    if (!library && (library = dlopen(LIBRARY, RTLD_LAZY))) tell("by its name");
    open_below(getenv("VIRTUAL_ENV"), wheels);
    open_below(getenv("CONDA_PREFIX"), wheels);
    open_below(getenv("CONDA_PREFIX"), "/lib");
    open_below(getenv("CUDA_HOME"), "/lib64");
    open_below(getenv("HOME"), "/.local/lib/python3*/site-packages/nvidia/*/lib");
    open_below("/usr/local", wheels);
    open_below("/usr", wheels);
    open_below("/opt/*", wheels);
    open_below("/usr/local/cuda", "/lib64");
    open_below("/usr/local/cuda-*", "/lib64");
}

/* What NVIDIA's own stub for the driver answers: callers see an ordinary error. */
static int no_driver(void) { return STUB_LIBRARY; }
static int not_in_driver(void) { return NOT_FOUND; }

/* Any other library was asked for by a program that has found a driver: there is no going on without it. */
static void *missing(const char *name) {
    const char *path = getenv(PATH_VARIABLE);
    if (IS_DRIVER) return library ? (void *)not_in_driver : (void *)no_driver;
    if (library)
        fprintf(stderr, "error: %s has no function %s; another version of %s is needed\n", LIBRARY, name, PRODUCT);
    else
        fprintf(stderr,
                "error: %s, of %s, is not to be found (%s was called)\n"
                "  searched: the folders in " PATH_VARIABLE " (%s), then what the system's loader searches\n"
                "            (LD_LIBRARY_PATH among it), then the usual folders of pip and of CUDA\n",
                LIBRARY, PRODUCT, name, path && *path ? path : "not set");
    if (*damage) fprintf(stderr, "  one cannot be opened: %s\n", damage);
    fprintf(stderr,
            "  remedy: install %s, or set " PATH_VARIABLE " to the folder that holds it (several: separated by `:`)\n",
            PRODUCT);
    _exit(EXIT_DEVICE);
}

__attribute__((used, noinline)) static void find_target(struct function *function) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_library);
    void *target = library ? dlsym(library, function->name) : NULL;
    if (!target) target = missing(function->name);
    __atomic_store_n(&function->target, target, __ATOMIC_RELEASE);
}
