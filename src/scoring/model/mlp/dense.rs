//! A dense layer in plain Rust: sums of many outputs at once, for one row or for rows side by side, with the same bits.
//!
//! In: inputs of whole rows. Out: their sums. Every sum is its bias, then one product after the other in the order of the
//! inputs, without fused multiply-add: vectors are made of outputs, never of a sum, so that no bit follows their width.
//! Weights lie in panels: those of [`LANES`] outputs for the first input, for the second, and so on.
//!
//! One row is bound by memory: it passes over inputs that are exactly 0 and never reads their weights. Rows side by side
//! read a panel once for all of them and pass over nothing: 0 times a finite weight changes no sum but the sign of a 0,
//! which no later sum, no ReLU and no sigmoid tells from 0.

/// Outputs of a panel. Loops over 32 or 64 become vectors badly: 5,000 and 20,000 rows a second in blocks, 16 60,000.
const LANES: usize = 16;
/// Panels that one row walks together: sums enough to hide the time of an addition.
const PANELS: usize = 4;

type Lanes = [f32; LANES];

/// `n_inputs x n_outputs` weights and `n_outputs` biases.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    pub n_inputs: usize,
    pub n_outputs: usize,
    /// Panel after panel, `n_inputs` each; what the last one has beyond the outputs is 0.
    panels: Vec<Lanes>,
    /// One per panel.
    biases: Vec<Lanes>,
}

/// Inputs that are not 0, with their places.
pub(super) type Active = Vec<(f32, u32)>;

impl Dense {
    /// Takes `weights[input * n_outputs + output]`. Other lengths, or no output, are a bug of the caller.
    pub fn new(n_inputs: usize, weights: &[f32], biases: &[f32]) -> Dense {
        let n_outputs = biases.len();
        assert!(n_outputs > 0 && weights.len() == n_inputs * n_outputs, "a weight per input and output");
        let filled = |part: &[f32]| {
            let mut lanes = [0.0; LANES];
            lanes[..part.len()].copy_from_slice(part);
            lanes
        };
        let panel = |start: usize| {
            let rows = weights.chunks_exact(n_outputs);
            rows.map(move |row| filled(&row[start..(start + LANES).min(n_outputs)]))
        };
        Dense {
            n_inputs,
            n_outputs,
            panels: (0..n_outputs).step_by(LANES).flat_map(panel).collect(),
            biases: biases.chunks(LANES).map(filled).collect(),
        }
    }

    /// `weights[input * n_outputs + output]`.
    pub fn weights(&self) -> Vec<f32> {
        let row = |input: usize| self.panels.iter().skip(input).step_by(self.n_inputs).flatten().take(self.n_outputs);
        (0..self.n_inputs).flat_map(row).copied().collect()
    }

    pub fn biases(&self) -> &[f32] {
        &self.biases.as_flattened()[..self.n_outputs]
    }

    /// Sums of a row: the outputs, filled up to whole panels.
    pub(super) fn width(&self) -> usize {
        self.biases.len() * LANES
    }

    /// The sums of one row.
    #[inline(always)]
    pub(super) fn one(&self, input: &[f32], active: &mut Active, sums: &mut [f32]) {
        pick(&input[..self.n_inputs], active);
        let mut panels = self.panels.chunks_exact(self.n_inputs * PANELS);
        let mut biases = self.biases.chunks_exact(PANELS);
        let mut sums = sums.as_chunks_mut().0.chunks_exact_mut(PANELS);
        for ((panels, biases), sums) in (&mut panels).zip(&mut biases).zip(&mut sums) {
            walk::<PANELS>(panels, biases, active, sums);
        }
        let panels = panels.remainder().chunks_exact(self.n_inputs);
        let sums = sums.into_remainder().chunks_exact_mut(1);
        for ((panel, biases), sums) in panels.zip(biases.remainder().chunks_exact(1)).zip(sums) {
            walk::<1>(panel, biases, active, sums);
        }
    }

    /// The sums of rows whose inputs stand `stride` values apart, `ROWS` side by side in registers; those of rows that are
    /// left over stay as they are.
    #[inline(always)]
    pub(super) fn many<const ROWS: usize>(&self, input: &[f32], stride: usize, sums: &mut [f32]) {
        let width = self.width();
        for (nth, (panel, biases)) in self.panels.chunks_exact(self.n_inputs).zip(&self.biases).enumerate() {
            let tiles = input.chunks_exact(stride * ROWS).zip(sums.chunks_exact_mut(width * ROWS));
            for (input, sums) in tiles {
                let rows = std::array::from_fn(|row| &input[row * stride..][..self.n_inputs]);
                for (row, lanes) in tile::<ROWS>(panel, biases, rows).iter().enumerate() {
                    sums[row * width + nth * LANES..][..LANES].copy_from_slice(lanes);
                }
            }
        }
    }
}

/// Which inputs are not 0, without a branch: the processor can't foresee it, and a wrong guess costs as much as a weight.
#[inline(always)]
fn pick(input: &[f32], active: &mut Active) {
    active.resize(input.len(), (0.0, 0));
    let mut n_active = 0;
    for (at, x) in input.iter().enumerate() {
        active[n_active] = (*x, at as u32);
        n_active += usize::from(*x != 0.0);
    }
    active.truncate(n_active);
}

#[inline(always)]
fn walk<const PANELS: usize>(panels: &[Lanes], biases: &[Lanes], active: &[(f32, u32)], sums: &mut [Lanes]) {
    let n_inputs = panels.len() / PANELS;
    let panels: [&[Lanes]; PANELS] = std::array::from_fn(|nth| &panels[nth * n_inputs..][..n_inputs]);
    let mut lanes: [Lanes; PANELS] = std::array::from_fn(|nth| biases[nth]);
    for &(x, at) in active {
        for (lanes, panel) in lanes.iter_mut().zip(&panels) {
            add(lanes, x, &panel[at as usize]);
        }
    }
    sums.copy_from_slice(&lanes);
}

#[inline(always)]
fn tile<const ROWS: usize>(panel: &[Lanes], biases: &Lanes, rows: [&[f32]; ROWS]) -> [Lanes; ROWS] {
    let mut lanes = [*biases; ROWS];
    for (at, weights) in panel.iter().enumerate() {
        for (lanes, row) in lanes.iter_mut().zip(&rows) {
            add(lanes, row[at], weights);
        }
    }
    lanes
}

#[inline(always)]
fn add(sums: &mut Lanes, x: f32, weights: &Lanes) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += x * weight;
    }
}
