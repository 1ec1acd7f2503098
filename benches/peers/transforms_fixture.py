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
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

N_ROWS = 160
TEXTS = {
    "domain": ["gmail.com", "hotmail.com", "live.com.mx", "yahoo.co.uk", "q.com", "comcast.net"],
    "system": ["Windows 10", "iOS 11.1.2", "Mac OS X 10_12_6", "Android 7.0", "Linux", "Windows Vista"],
    "browser": ["chrome 63.0 for android", "mobile safari 11.0", "ie 11.0 for desktop", "firefox 57.0"],
    "device": ["rv:57.0", "Windows", "SM-J700M Build/MMB29K", "Moto G (4)", "iOS Device"],
    "screen": ["1920x1080", "2208x1242", "1366x768"],
}


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
    for name, texts in TEXTS.items():
        frame[name] = rng.choice(texts, N_ROWS).astype(object)
        frame.loc[rng.random(N_ROWS) < 0.1, name] = None
    frame.loc[1, "domain"] = "training.never.saw.it"
    frame["domain"] = frame["domain"].astype(object)
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

    expected["feature:sum"] = frame["amount"] + frame["days"]
    expected["feature:difference"] = frame["amount"] - frame["days"]
    expected["feature:product"] = frame["amount"] * frame["days"]
    both = frame["amount"].notna() & frame["days"].notna()
    expected["feature:less"] = (frame["amount"] < frame["days"]).astype(float).where(both)
    expected["feature:greater"] = (frame["amount"] > frame["days"]).astype(float).where(both)
    expected["feature:equal"] = (frame["card"] == 5).astype(float)
    expected["feature:ln"] = np.log(frame["amount"])
    expected["feature:day"] = frame["time"] // 86_400
    expected["feature:place"] = frame["shop"].map({"d": 1.0, "a": 2.0, "b": 3.0})
    number_in = lambda name: frame[name].str.extract(r"(\d+(?:[._]\d{1,3})?)")[0].str.replace("_", ".")  # noqa: E731
    expected["feature:os_version"] = number_in("system").astype(float)
    expected["feature:browser_version"] = number_in("browser").astype(float)
    expected["feature:device_version"] = number_in("device").astype(float)
    expected["feature:width"] = frame["screen"].str.split("x").str[0].astype(float)
    expected["feature:height"] = frame["screen"].str.split("x").str[1].astype(float)

    marks = {"sm-": "samsung", "moto": "motorola", "rv:": "firefox"}
    first = lambda name, words: frame[name].str.lower().str.extract(f"({words})")[0]  # noqa: E731
    owners = {"gmail": "google", "hotmail": "microsoft", "live": "microsoft"}
    text = pd.DataFrame(
        {
            "provider": frame["domain"].str.split(".").str[0].replace(owners),
            "suffix": frame["domain"].str.rsplit(".", n=1).str[1].replace({"com": "generic", "net": "generic"}),
            "os": first("system", "windows|ios|mac|android|linux"),
            "browser_name": first("browser", "chrome|safari|firefox|ie").where(frame["browser"].notna()),
            "device_name": first("device", "sm-|moto|rv:|windows|ios").replace(marks),
            "both": frame["card"].map("{:g}".format) + "_" + frame["shop"],
            "shop": frame["shop"],
            "domain": frame["domain"],
        }
    ).astype(object)
    text = text.where(text.notna(), None).apply(lambda column: column.str.upper())
    imputer = SimpleImputer(strategy="most_frequent", missing_values=None).fit(text.iloc[train])
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    ordinal.fit(imputer.transform(text.iloc[train]))
    codes = ordinal.transform(imputer.transform(text)) + 1
    scaler = StandardScaler().fit(codes[train])
    for name, plain, scaled in zip(text, codes.T, scaler.transform(codes).T):
        expected[f"label:{name}"] = plain
        expected[f"scaled-label:{name}"] = scaled
    for name in ["shop", "domain", "system"]:
        share = fit[name].value_counts(normalize=True, dropna=False)
        shares = {"" if pd.isna(key) else key: value for key, value in share.items()}
        expected[f"frequency:{name}_frequency"] = frame[name].fillna("").map(shares).fillna(0)
        encoder = TargetEncoder(smooth=10.0, target_type="binary").fit(fit[[name]], labels[train])
        expected[f"target:{name}_target"] = encoder.transform(frame[[name]])[:, 0]
    gaps = ["V2", "V3", "amount", "days", "domain"]
    indicator = MissingIndicator(features="all").fit(frame.iloc[train][gaps].isna().astype(float).replace(1, np.nan))
    for name, column in zip(gaps, indicator.transform(frame[gaps].isna().astype(float).replace(1, np.nan)).T):
        expected[f"indicator:{name}_missing"] = column.astype(float)

    columns = [f"V{at}" for at in range(1, 7)]
    prepare = lambda rows: scaler.transform(imputer.transform(rows))  # noqa: E731
    imputer = SimpleImputer(strategy="median")
    scaler = StandardScaler().fit(imputer.fit_transform(fit[columns]))
    pca = PCA(n_components=3, svd_solver="full").fit(prepare(fit[columns]))
    for at, column in enumerate(pca.transform(prepare(frame[columns])).T, 1):
        expected[f"pca:V_pca_{at}"] = column
    most = PCA(n_components=0.85, svd_solver="full").fit(prepare(fit[columns]))
    for at, column in enumerate(most.transform(prepare(frame[columns])).T, 1):
        expected[f"most:V_pca_{at}"] = column

    def numbers(values):
        return [None if pd.isna(value) else float(value) for value in np.asarray(values, dtype=float)]

    def texts(values):
        return [None if pd.isna(value) else str(value) for value in values]

    document = {
        "columns": {name: texts(frame[name]) if name in TEXTS or name == "shop" else numbers(frame[name]) for name in frame},
        "labels": labels.tolist(),
        "train": train.tolist(),
        "explained": pca.explained_variance_ratio_.tolist(),
        "expected": {name: numbers(values) for name, values in expected.items()},
    }
    with open(sys.argv[1], "w") as file:
        json.dump(document, file)
        file.write("\n")


main()
