#include "textflag.h"

// Kernels over rows of d float32, d a multiple of 16, for AVX2 and FMA. Four rows are taken at a time: what they share (the
// vector they are multiplied with, the sum they are added to) is then loaded once for four, and their sums make the eight
// independent chains that hide the latency of an FMA. Registers, the same in all kernels:
//
//	SI rows        R8-R11 the four rows at hand   DX 4*d, bytes of a row
//	DI sum or dst  BX vector                      CX rows left   AX byte within a row

// DOTS4 leaves the dot products of the rows R8-R11 with BX in X0.
#define DOTS4 \
	VXORPS Y0, Y0, Y0               \
	VXORPS Y1, Y1, Y1               \
	VXORPS Y2, Y2, Y2               \
	VXORPS Y3, Y3, Y3               \
	VXORPS Y4, Y4, Y4               \
	VXORPS Y5, Y5, Y5               \
	VXORPS Y6, Y6, Y6               \
	VXORPS Y7, Y7, Y7               \
	XORQ AX, AX                     \
dots4:                              \
	VMOVUPS (BX)(AX*1), Y8          \
	VMOVUPS 32(BX)(AX*1), Y9        \
	VFMADD231PS (R8)(AX*1), Y8, Y0  \
	VFMADD231PS (R9)(AX*1), Y8, Y1  \
	VFMADD231PS (R10)(AX*1), Y8, Y2 \
	VFMADD231PS (R11)(AX*1), Y8, Y3 \
	VFMADD231PS 32(R8)(AX*1), Y9, Y4  \
	VFMADD231PS 32(R9)(AX*1), Y9, Y5  \
	VFMADD231PS 32(R10)(AX*1), Y9, Y6 \
	VFMADD231PS 32(R11)(AX*1), Y9, Y7 \
	ADDQ $64, AX                    \
	CMPQ AX, DX                     \
	JLT dots4                       \
	VADDPS Y4, Y0, Y0               \
	VADDPS Y5, Y1, Y1               \
	VADDPS Y6, Y2, Y2               \
	VADDPS Y7, Y3, Y3               \
	VHADDPS Y1, Y0, Y0              \
	VHADDPS Y3, Y2, Y2              \
	VHADDPS Y2, Y0, Y0              \
	VEXTRACTF128 $1, Y0, X1         \
	VADDPS X1, X0, X0

// DOT1 leaves the dot product of the row R8 with BX in X0.
#define DOT1 \
	VXORPS Y0, Y0, Y0               \
	VXORPS Y4, Y4, Y4               \
	XORQ AX, AX                     \
dot1:                               \
	VMOVUPS (BX)(AX*1), Y8          \
	VMOVUPS 32(BX)(AX*1), Y9        \
	VFMADD231PS (R8)(AX*1), Y8, Y0  \
	VFMADD231PS 32(R8)(AX*1), Y9, Y4  \
	ADDQ $64, AX                    \
	CMPQ AX, DX                     \
	JLT dot1                        \
	VADDPS Y4, Y0, Y0               \
	VHADDPS Y0, Y0, Y0              \
	VHADDPS Y0, Y0, Y0              \
	VEXTRACTF128 $1, Y0, X1         \
	VADDPS X1, X0, X0

// ADD4 adds the rows R8-R11, each times its lane of X0, to DI.
#define ADD4 \
	VPERMILPS $0x55, X0, X13        \
	VPERMILPS $0xaa, X0, X14        \
	VPERMILPS $0xff, X0, X15        \
	VBROADCASTSS X0, Y12            \
	VBROADCASTSS X13, Y13           \
	VBROADCASTSS X14, Y14           \
	VBROADCASTSS X15, Y15           \
	XORQ AX, AX                     \
add4:                               \
	VMOVUPS (DI)(AX*1), Y8          \
	VMOVUPS 32(DI)(AX*1), Y9        \
	VFMADD231PS (R8)(AX*1), Y12, Y8  \
	VFMADD231PS 32(R8)(AX*1), Y12, Y9  \
	VFMADD231PS (R9)(AX*1), Y13, Y8  \
	VFMADD231PS 32(R9)(AX*1), Y13, Y9  \
	VFMADD231PS (R10)(AX*1), Y14, Y8 \
	VFMADD231PS 32(R10)(AX*1), Y14, Y9 \
	VFMADD231PS (R11)(AX*1), Y15, Y8 \
	VFMADD231PS 32(R11)(AX*1), Y15, Y9 \
	VMOVUPS Y8, (DI)(AX*1)          \
	VMOVUPS Y9, 32(DI)(AX*1)        \
	ADDQ $64, AX                    \
	CMPQ AX, DX                     \
	JLT add4

// ADD1 adds the row R8, times the lowest lane of X0, to DI.
#define ADD1 \
	VBROADCASTSS X0, Y12            \
	XORQ AX, AX                     \
add1:                               \
	VMOVUPS (DI)(AX*1), Y8          \
	VMOVUPS 32(DI)(AX*1), Y9        \
	VFMADD231PS (R8)(AX*1), Y12, Y8  \
	VFMADD231PS 32(R8)(AX*1), Y12, Y9  \
	VMOVUPS Y8, (DI)(AX*1)          \
	VMOVUPS Y9, 32(DI)(AX*1)        \
	ADDQ $64, AX                    \
	CMPQ AX, DX                     \
	JLT add1

// PICK finds the row that is numbered at an offset into the picks.
#define PICK(offset, row) \
	MOVLQSX offset(R12), row        \
	IMULQ DX, row                   \
	ADDQ SI, row

// FETCH asks for the row that is numbered at an offset into the picks: a gather over more than the second-level cache holds
// would else wait for each row.
#define FETCH(offset, again) \
	MOVLQSX offset(R12), R15        \
	IMULQ DX, R15                   \
	ADDQ SI, R15                    \
	XORQ AX, AX                     \
again:                              \
	PREFETCHT0 (R15)(AX*1)          \
	ADDQ $64, AX                    \
	CMPQ AX, DX                     \
	JLT again

// func dotRowsAVX2(dst, rows, q *float32, n, d int)
TEXT ·dotRowsAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ rows+8(FP), R8
	MOVQ q+16(FP), BX
	MOVQ n+24(FP), CX
	MOVQ d+32(FP), DX
	SHLQ $2, DX

four:
	SUBQ $4, CX
	JLT rest
	LEAQ (R8)(DX*1), R9
	LEAQ (R8)(DX*2), R10
	LEAQ (R9)(DX*2), R11
	DOTS4
	VMOVUPS X0, (DI)
	ADDQ $16, DI
	LEAQ (R8)(DX*4), R8
	JMP four

rest:
	ADDQ $4, CX
	JZ done

one:
	DOT1
	VMOVSS X0, (DI)
	ADDQ $4, DI
	ADDQ DX, R8
	DECQ CX
	JNZ one

done:
	VZEROUPPER
	RET

// func addRowsAVX2(sum, rows *float32, picks *int32, factors *float32, n, d int)
TEXT ·addRowsAVX2(SB), NOSPLIT, $0-48
	MOVQ sum+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ picks+16(FP), R12
	MOVQ factors+24(FP), R13
	MOVQ n+32(FP), CX
	MOVQ d+40(FP), DX
	SHLQ $2, DX

four:
	SUBQ $4, CX
	JLT rest
	PICK(0, R8)
	PICK(4, R9)
	PICK(8, R10)
	PICK(12, R11)
	VMOVUPS (R13), X0
	ADD4
	ADDQ $16, R12
	ADDQ $16, R13
	JMP four

rest:
	ADDQ $4, CX
	JZ done

one:
	PICK(0, R8)
	VMOVSS (R13), X0
	ADD1
	ADDQ $4, R12
	ADDQ $4, R13
	DECQ CX
	JNZ one

done:
	VZEROUPPER
	RET

// func addProjectedAVX2(sum, rows *float32, picks *int32, weights, p *float32, n, d int, shift float32)
TEXT ·addProjectedAVX2(SB), NOSPLIT, $0-60
	MOVQ sum+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ picks+16(FP), R12
	MOVQ weights+24(FP), R13
	MOVQ p+32(FP), BX
	MOVQ n+40(FP), CX
	MOVQ d+48(FP), DX
	SHLQ $2, DX
	VBROADCASTSS shift+56(FP), X10

four:
	SUBQ $4, CX
	JLT rest
	CMPQ CX, $8
	JLT near
	FETCH(32, fetch0)
	FETCH(36, fetch1)
	FETCH(40, fetch2)
	FETCH(44, fetch3)

near:
	PICK(0, R8)
	PICK(4, R9)
	PICK(8, R10)
	PICK(12, R11)
	DOTS4
	VSUBPS X10, X0, X0
	VMULPS (R13), X0, X0
	ADD4
	ADDQ $16, R12
	ADDQ $16, R13
	JMP four

rest:
	ADDQ $4, CX
	JZ done

one:
	PICK(0, R8)
	DOT1
	VSUBSS X10, X0, X0
	VMULSS (R13), X0, X0
	ADD1
	ADDQ $4, R12
	ADDQ $4, R13
	DECQ CX
	JNZ one

done:
	VZEROUPPER
	RET
