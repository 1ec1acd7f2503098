"""Values of pandas and scikit-learn that the tests of the preparation and of features are held against.

    python benches/peers/transforms_fixture.py tests/data/transforms.json

One JSON object: `columns` (null: missing), `labels`, `train` (row numbers) and `expected` columns of all rows.
Made with pandas 3.1.1 and scikit-learn 1.9.1; any version of the last years gives the same.
"""

import json
import sys

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler, TargetEncoder

N_ROWS = 160


def main():
    rng = np.random.default_rng(7)
    latent = rng.normal(size=(N_ROWS, 2))
    frame = pd.DataFrame({f"V{at}": latent @ rng.normal(size=2) + 0.3 * rng.normal(size=N_ROWS) for at in range(1, 7)})
    frame["amount"] = np.round(rng.lognormal(4, 1, N_ROWS), 2)
    frame["time"] = np.sort(rng.integers(86_400, 15_811_131, N_ROWS)).astype(float)
    frame["days"] = rng.integers(0, 600, N_ROWS).astype(float)
    frame["card"] = rng.integers(1, 12, N_ROWS).astype(float)
    frame["shop"] = rng.choice(list("abcd"), N_ROWS)
    for name in ("V2", "V3", "amount", "days"):
        frame.loc[rng.random(N_ROWS) < 0.15, name] = np.nan
    labels = (rng.random(N_ROWS) < 0.3).astype(int)
    train = np.arange(N_ROWS)[np.arange(N_ROWS) % 4 != 1]
    fit = frame.iloc[train]

    expected = {}
    number = ["V1", "V2", "V3", "amount"]
    for strategy, scaler in [("median", StandardScaler()), ("mean", MinMaxScaler()), ("constant", RobustScaler())]:
        imputer = SimpleImputer(strategy=strategy, fill_value=-1.0)
        scaler.fit(imputer.fit_transform(fit[number]))
        values = scaler.transform(imputer.transform(frame[number]))
        for name, column in zip(number, values.T):
            expected[f"{strategy}:{name}"] = column
    one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore").fit(fit[["shop"]])
    for name, column in zip(one_hot.get_feature_names_out(), one_hot.transform(frame[["shop"]]).T):
        expected[f"one-hot:{name.upper().replace('SHOP_', 'shop=')}"] = column
    encoder = TargetEncoder(smooth=5.0, target_type="binary").fit(fit[["shop"]], labels[train])
    expected["feature:rate"] = encoder.transform(frame[["shop"]])[:, 0]

    group = fit.groupby("card")["amount"]
    card = frame["card"]
    overall = fit["amount"]
    expected["feature:mean"] = card.map(group.mean()).fillna(overall.mean())
    expected["feature:std"] = card.map(group.std()).fillna(overall.std())
    expected["feature:ratio"] = frame["amount"] / expected["feature:mean"]
    expected["feature:count"] = card.map(fit["card"].value_counts()).fillna(0)
    expected["feature:share"] = card.map(fit["card"].value_counts(normalize=True)).fillna(0)
    expected["feature:hour"] = np.floor(frame["time"] / 3600) % 24
    expected["feature:weekday"] = np.floor(frame["time"] / 86_400) % 7
    expected["feature:first"] = np.floor(frame["time"] / 86_400) - frame["days"]
    expected["feature:log"] = np.log1p(frame["amount"])
    expected["feature:cents"] = np.round((frame["amount"] - np.floor(frame["amount"])) * 1000)
    expected["feature:gaps"] = frame[["V2", "V3"]].isna().sum(axis=1).astype(float)
    expected["feature:per"] = frame["amount"] / frame["card"]

    columns = [f"V{at}" for at in range(1, 7)]
    prepare = lambda rows: scaler.transform(imputer.transform(rows))  # noqa: E731
    imputer = SimpleImputer(strategy="median")
    scaler = StandardScaler().fit(imputer.fit_transform(fit[columns]))
    pca = PCA(n_components=3, svd_solver="full").fit(prepare(fit[columns]))
    for at, column in enumerate(pca.transform(prepare(frame[columns])).T, 1):
        expected[f"pca:V_pca_{at}"] = column

    def numbers(values):
        return [None if pd.isna(value) else float(value) for value in np.asarray(values, dtype=float)]

    document = {
        "columns": {name: frame[name].tolist() if name == "shop" else numbers(frame[name]) for name in frame},
        "labels": labels.tolist(),
        "train": train.tolist(),
        "explained": pca.explained_variance_ratio_.tolist(),
        "expected": {name: numbers(values) for name, values in expected.items()},
    }
    with open(sys.argv[1], "w") as file:
        json.dump(document, file)
        file.write("\n")


main()
