//! Fits derived columns on training rows.
//!
//! In: [`TrainRows`] alone and declared features. Out: frozen [`Feature`]s, and their columns twice: as everybody sees
//! them (`columns`), and as training rows see them (`learned_from`), which differ where a row's own label would speak: there
//! a training row gets its out-of-fold value. Columns hold every row of the table, held-out ones too, for they are computed
//! by what was fitted without them. They lie where the run's budget has room for them.
//!
//! Groups are fitted once per key and shared by all their figures. The features of a layer run in parallel; sums run in row
//! order.

pub mod order;

mod group;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::scoring::features::{Compute, Feature, Operand, Operator, group_keys};
use crate::scoring::packed::Packed;
use crate::scoring::preprocessor::{DroppedColumn, TextCase};
use crate::scoring::schema::ColumnKind;
use crate::scoring::table::{Cells, Table};
use crate::training::config::{FeatureConfig, Figure, Make, MissingColumns, Recipe};
use crate::training::error::{Error, Result};
use crate::training::mapped::Storage;
use crate::training::rows::TrainRows;
use crate::training::seed::Seed;
use order::{Ordered, order};

/// Derived columns, fitted on the training rows they were made for.
#[derive(Debug)]
pub struct Derived<'t> {
    pub train: &'t TrainRows,
    case: TextCase,
    storage: &'t Storage,
    seed: Seed,
    pub features: Vec<Feature>,
    /// What the model does not see.
    pub hidden: BTreeSet<String>,
    pub columns: Table,
    pub learned_from: Table,
    pub left_out: Vec<DroppedColumn>,
}

/// A feature to be, as small as features get.
struct Node {
    name: String,
    make: NodeMake,
    hidden: bool,
    place: String,
}

enum NodeMake {
    Plain(Compute),
    Group { of: Vec<String>, min_rows: usize, may_be_unique: bool },
    Figure { group: String, figure: Figure, unseen: Option<f64> },
}

/// A fitted feature and its columns.
struct Fitted {
    feature: Feature,
    cells: Cells,
    /// Where training rows see other values.
    for_training: Option<Cells>,
}

impl<'t> Derived<'t> {
    pub fn new(train: &'t TrainRows, case: TextCase, storage: &'t Storage, seed: Seed) -> Derived<'t> {
        let n_rows = train.table().n_rows();
        Derived {
            train,
            case,
            storage,
            seed,
            features: Vec::new(),
            hidden: BTreeSet::new(),
            columns: Table::new(n_rows),
            learned_from: Table::new(n_rows),
            left_out: Vec::new(),
        }
    }

    /// Fits more features, which may read those before.
    pub fn add(&mut self, configs: &[FeatureConfig], missing: MissingColumns) -> Result<()> {
        let before = self.train.table().schema_columns().into_iter().chain(self.columns.schema_columns());
        let before: Vec<(String, ColumnKind)> = before.map(|column| (column.name, column.kind)).collect();
        let known: Vec<(&str, Option<ColumnKind>)> =
            before.iter().map(|(name, kind)| (name.as_str(), Some(*kind))).collect();
        let Ordered { layers, left_out } = order(configs, &known, missing)?;
        self.left_out.extend(left_out);
        for layer in layers {
            let mut levels: BTreeMap<usize, Vec<Node>> = BTreeMap::new();
            layer.iter().for_each(|config| lower(config, &mut levels));
            levels.into_values().try_for_each(|nodes| self.fit_all(nodes))?;
        }
        Ok(())
    }

    fn fit_all(&mut self, mut nodes: Vec<Node>) -> Result<()> {
        let mut fresh = BTreeSet::new();
        nodes.retain(|node| self.columns.column(&node.name).is_none() && fresh.insert(node.name.clone()));
        let fitted = nodes.par_iter().map(|node| self.fit(node)).collect::<Result<Vec<Fitted>>>()?;
        for (node, Fitted { feature, cells, for_training }) in nodes.into_iter().zip(fitted) {
            if node.hidden {
                self.hidden.insert(node.name.clone());
            }
            self.learned_from.push(node.name.clone(), for_training.unwrap_or_else(|| cells.clone()));
            self.columns.push(node.name, cells);
            self.features.push(feature);
        }
        Ok(())
    }

    /// A column as everybody sees it, and as training rows do.
    fn input(&self, name: &str) -> Result<(&Cells, &Cells)> {
        if let Some(raw) = self.train.table().column(name) {
            return Ok((raw, raw));
        }
        let derived = self.columns.column(name).zip(self.learned_from.column(name));
        derived.ok_or_else(|| Error::failed(format!("column `{name}` was not derived yet")))
    }

    fn fit(&self, node: &Node) -> Result<Fitted> {
        let compute = match &node.make {
            NodeMake::Plain(compute) => self.cased(compute.clone()),
            NodeMake::Group { of, min_rows, may_be_unique } => {
                let keys = self.keys(of)?;
                if !may_be_unique && !group::come_back(&keys, self.train) {
                    return Err(unique(&node.place, of));
                }
                Compute::Group { of: of.clone(), keys: group::Groups::count(keys, self.train).keys(*min_rows) }
            }
            NodeMake::Figure { group, figure, unseen } => {
                return self.figure(node, group, figure, *unseen);
            }
        };
        self.columns_of(Feature { name: node.name.clone(), compute })
    }

    /// Keys of groups by these columns, of all rows, as training rows see them.
    fn keys(&self, of: &[String]) -> Result<Cells> {
        let inputs = of.iter().map(|name| Ok(self.input(name)?.1)).collect::<Result<Vec<_>>>()?;
        Ok(group_keys(&inputs, self.case, self.columns.n_rows()))
    }

    /// The columns of a frozen feature, for everybody and for training rows.
    fn columns_of(&self, feature: Feature) -> Result<Fitted> {
        let inputs = feature.compute.inputs().into_iter().map(|name| self.input(name)).collect::<Result<Vec<_>>>()?;
        let column = |inputs: Vec<&Cells>| self.stored(feature.column(&inputs, self.case, self.columns.n_rows()));
        let differs = inputs.iter().any(|(everybody, training)| !everybody.packed().shares_bytes(training.packed()));
        let of_training = || column(inputs.iter().map(|(_, training)| *training).collect());
        let for_training = differs.then(of_training).transpose()?;
        let cells = column(inputs.iter().map(|(everybody, _)| *everybody).collect())?;
        Ok(Fitted { feature, cells, for_training })
    }

    /// The same column where the budget has room for it: in memory, or in a file.
    fn stored(&self, cells: Cells) -> Result<Cells> {
        let packed = cells.packed();
        let mut bytes = self.storage.zeroed(packed.n_bytes())?;
        bytes.copy_from_slice(packed.bytes());
        let packed = Packed::new(packed.encoding(), Arc::new(bytes));
        Ok(match cells {
            Cells::Numeric(_) => Cells::Numeric(packed),
            Cells::Categorical { levels, .. } => Cells::Categorical { codes: packed, levels },
        })
    }

    /// Declared levels in the case that cells have.
    fn cased(&self, compute: Compute) -> Compute {
        match compute {
            Compute::Ordinal { of, order } => {
                Compute::Ordinal { of, order: order.iter().map(|level| self.case.apply(level)).collect() }
            }
            other => other,
        }
    }

    fn figure(&self, node: &Node, group: &str, figure: &Figure, unseen: Option<f64>) -> Result<Fitted> {
        // As training rows see them: a group may be one of out-of-fold values.
        let places = self.input(group)?.1.packed();
        let n_groups = match self.features.iter().find(|feature| feature.name == group).map(|found| &found.compute) {
            Some(Compute::Group { keys, .. }) => keys.len(),
            _ => return Err(Error::failed(format!("`{group}` is no group"))),
        };
        let places: Vec<u32> = places.gather(self.train.rows()).into_iter().map(|place| place as u32).collect();
        let numbers = |of: &str| Ok::<_, Error>(self.input(of)?.1.packed().gather(self.train.rows()));
        let of_group = match figure {
            Figure::Frequency => group::frequency(&places, n_groups),
            Figure::Count => group::count(&places, n_groups),
            Figure::Mean { of } | Figure::RatioToMean { of } => group::mean(&places, n_groups, &numbers(of)?),
            Figure::Std { of } => group::std(&places, n_groups, &numbers(of)?),
            Figure::Target { smoothing, .. } => target::encode(&places, n_groups, &self.train.labels(), *smoothing),
        };
        let compute = Compute::OfGroup {
            group: group.to_owned(),
            values: of_group.values,
            unseen: unseen.unwrap_or(of_group.unseen),
        };
        let fitted = self.columns_of(Feature { name: node.name.clone(), compute })?;
        let Figure::Target { smoothing, folds } = figure else { return Ok(fitted) };
        let encoded = target::OutOfFold::new(self.train, *folds, self.seed.derive("target folds", 0));
        let for_training = self.stored(encoded.column(&places, n_groups, *smoothing, self.columns.n_rows()))?;
        Ok(Fitted { for_training: Some(for_training), ..fitted })
    }
}

/// Before anything is learned: texts where numbers are needed, and keys by which every training row would be a group of
/// its own, in any of these parts. Keys of which something must be learned first wait for the fit.
pub fn check_features(recipe: &Recipe, parts: &[&TrainRows], storage: &Storage) -> Result<()> {
    if let Some(any) = parts.first() {
        let columns = any.table().schema_columns();
        let known: Vec<_> = columns.iter().map(|column| (column.name.as_str(), Some(column.kind))).collect();
        order(recipe.features, &known, recipe.data.missing_columns)?;
    }
    let groups = recipe.features.iter().filter_map(|feature| match &feature.make {
        Make::OfGroup { by, .. } => Some((feature, by)),
        Make::Plain(_) => None,
    });
    let (groups, Some(&any)) = (groups.collect::<Vec<_>>(), parts.first()) else { return Ok(()) };
    let mut derived = Derived::new(any, recipe.preprocess.text_case, storage, Seed::new(0));
    let keys = groups.iter().flat_map(|(_, by)| by.iter().map(String::as_str));
    derived.add(&plain_features(recipe.features, keys), MissingColumns::Allow)?;
    let mut known = BTreeSet::new();
    for (feature, by) in groups {
        let is_there = |name: &String| derived.input(name).is_ok();
        if !known.insert(by) || !by.iter().all(is_there) {
            continue;
        }
        let keys = derived.keys(by)?;
        if !parts.iter().all(|train| group::come_back(&keys, train)) {
            return Err(unique(&feature.place.0, by));
        }
    }
    Ok(())
}

/// What these names need of features of which nothing is learned.
fn plain_features<'f>(features: &'f [FeatureConfig], names: impl Iterator<Item = &'f str>) -> Vec<FeatureConfig> {
    let by_name: BTreeMap<&str, &FeatureConfig> =
        features.iter().map(|feature| (feature.name.as_str(), feature)).collect();
    let (mut waiting, mut found): (Vec<&str>, BTreeMap<&str, &FeatureConfig>) = (names.collect(), BTreeMap::new());
    while let Some(name) = waiting.pop() {
        if let Some(feature) = by_name.get(name)
            && found.insert(name, feature).is_none()
        {
            waiting.extend(feature.make.inputs());
        }
    }
    let learns = |make: &Make| matches!(make, Make::OfGroup { .. });
    loop {
        let without = |feature: &&FeatureConfig| {
            let lost = |name: &&str| by_name.contains_key(*name) && !found.contains_key(*name);
            learns(&feature.make) || feature.make.inputs().iter().any(lost)
        };
        let Some(name) = found.values().copied().find(without).map(|feature| feature.name.as_str()) else { break };
        found.remove(name);
    }
    found.into_values().cloned().collect()
}

fn unique(place: &str, of: &[String]) -> Error {
    let of: Vec<String> = of.iter().map(|name| format!("`{name}`")).collect();
    Error::permanent(format!("{place}: every training row is a group of its own by {}", of.join(", ")))
        .hint("group by something that comes back, such as a card; an id tells nothing of other rows")
}

/// Nodes that a feature stands for, by what must come first: groups, figures of them, what is made of figures.
fn lower(config: &FeatureConfig, levels: &mut BTreeMap<usize, Vec<Node>>) {
    let FeatureConfig { name, make, input_only, place } = config;
    let mut put = |level: usize, name: &str, make: NodeMake, hidden: bool| {
        let node = Node { name: name.to_owned(), make, hidden, place: place.0.clone() };
        levels.entry(level).or_default().push(node);
    };
    let (by, figure, unseen, min_rows) = match make {
        Make::Plain(compute) => return put(0, name, NodeMake::Plain(compute.clone()), *input_only),
        Make::OfGroup { by, figure, unseen, min_rows } => (by, figure, *unseen, *min_rows),
    };
    // Names with a space in them: no declared feature has one.
    let group = match min_rows {
        0 | 1 => format!("group of {}", by.join("+")),
        rows => format!("group of {} with {rows} rows", by.join("+")),
    };
    let may_be_unique = place.0.is_empty();
    put(0, &group, NodeMake::Group { of: by.clone(), min_rows, may_be_unique }, true);
    let of_group = NodeMake::Figure { group: group.clone(), figure: figure.clone(), unseen };
    let Figure::RatioToMean { of } = figure else { return put(1, name, of_group, *input_only) };
    let mean = format!("mean of {of} in {group}");
    let of_group = NodeMake::Figure { group, figure: Figure::Mean { of: of.clone() }, unseen };
    put(1, &mean, of_group, true);
    let (left, right) = (Operand::Column(of.clone()), Operand::Column(mean));
    put(2, name, NodeMake::Plain(Compute::Operator { operator: Operator::Ratio, left, right }), *input_only);
}
